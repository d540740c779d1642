//! Records for TensorBoard's HPARAMS page (its plugins/hparams/plugin_data.proto and api.proto).
//!
//! The page looks for three summaries with fixed tags whose content sits in their metadata: the experiment (which
//! columns there are), the start of the session (their values in this run) and its end.

use std::collections::HashMap;

use protobuf::RepeatedField;
use protobuf::well_known_types::Value;
use serde_json::Value as Json;
use tensorboard_proto::api::{DataType, Experiment, HParamInfo, MetricInfo, MetricName, Status};
use tensorboard_proto::plugin_hparams::{HParamsPluginData, SessionEndInfo, SessionStartInfo};
use tensorboard_proto::summary::Summary_Value;

use super::Outcome;
use super::events::metadata_only;
use super::file::now;

/// Leaves of a tree of settings under their dotted keys, in their order.
pub fn flatten(config: &Json) -> Vec<(String, Json)> {
    let mut flat = Vec::new();
    collect("", config, &mut flat);
    flat
}

fn collect(key: &str, node: &Json, flat: &mut Vec<(String, Json)>) {
    match node {
        Json::Object(map) => {
            for (name, child) in map {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                collect(&key, child, flat);
            }
        }
        Json::Null => {}
        // The page knows no lists.
        Json::Array(_) => flat.push((key.to_string(), Json::String(node.to_string()))),
        leaf => flat.push((key.to_string(), leaf.clone())),
    }
}

/// Which hyperparameters and metrics there are.
pub fn experiment(hparams: &[(String, Json)], metrics: &[&str]) -> Summary_Value {
    let mut experiment = Experiment::new();
    experiment.set_time_created_secs(now().as_secs_f64());
    experiment.set_hparam_infos(hparams.iter().map(|(name, value)| hparam_info(name, value)).collect());
    experiment.set_metric_infos(metrics.iter().map(|tag| metric_info(tag)).collect::<RepeatedField<_>>());

    let mut data = HParamsPluginData::new();
    data.set_experiment(experiment);
    metadata_only("_hparams_/experiment", "hparams", &data)
}

/// The hyperparameters of this run.
pub fn session_start(hparams: &[(String, Json)]) -> Summary_Value {
    let values: HashMap<_, _> = hparams.iter().map(|(name, value)| (name.clone(), protobuf_value(value))).collect();
    let mut info = SessionStartInfo::new();
    info.set_hparams(values);
    info.set_start_time_secs(now().as_secs_f64());

    let mut data = HParamsPluginData::new();
    data.set_session_start_info(info);
    metadata_only("_hparams_/session_start_info", "hparams", &data)
}

/// How and when this run ended.
pub fn session_end(outcome: Outcome) -> Summary_Value {
    let mut info = SessionEndInfo::new();
    info.set_status(match outcome {
        Outcome::Success => Status::STATUS_SUCCESS,
        Outcome::Failure => Status::STATUS_FAILURE,
    });
    info.set_end_time_secs(now().as_secs_f64());

    let mut data = HParamsPluginData::new();
    data.set_session_end_info(info);
    metadata_only("_hparams_/session_end_info", "hparams", &data)
}

fn hparam_info(name: &str, value: &Json) -> HParamInfo {
    let mut info = HParamInfo::new();
    info.set_name(name.to_string());
    info.set_field_type(match value {
        Json::Bool(_) => DataType::DATA_TYPE_BOOL,
        Json::Number(_) => DataType::DATA_TYPE_FLOAT64,
        _ => DataType::DATA_TYPE_STRING,
    });
    info
}

fn metric_info(tag: &str) -> MetricInfo {
    let mut name = MetricName::new();
    name.set_tag(tag.to_string());
    let mut info = MetricInfo::new();
    info.set_name(name);
    info
}

fn protobuf_value(value: &Json) -> Value {
    let mut proto = Value::new();
    match value {
        Json::Bool(b) => proto.set_bool_value(*b),
        Json::Number(n) => proto.set_number_value(n.as_f64().unwrap_or(f64::NAN)),
        Json::String(s) => proto.set_string_value(s.clone()),
        other => proto.set_string_value(other.to_string()),
    }
    proto
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flattens_to_dotted_keys_in_order() {
        let config = serde_json::json!({
            "target": {"type": "funnel", "dim": 10, "means": [1.5, 2]},
            "resume": null, "train": {"lr": 1e-3, "ema": true, "empty": {}},
        });
        let flat = flatten(&config);
        let text: Vec<String> = flat.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let expected =
            ["target.type=\"funnel\"", "target.dim=10", "target.means=\"[1.5,2]\"", "train.lr=0.001", "train.ema=true"];
        assert_eq!(text, expected);
    }
}
