//! `flow eval`: a flow on the molecules that a config measures, as a table.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tch::Device;

use super::config::FlowTrainConfig;
use super::evaluate::{Measure, Scheme, evaluate};
use super::launch::network;
use super::team::FlowTeam;
use crate::flows::Flow;
use crate::io::atomic::write_atomic;
use crate::log::table::{Table, figure};
use crate::torch::seed::{Stream, reseed};

/// Columns of the table: figure and heading.
const COLUMNS: [(&str, &str); 12] = [
    ("nll", "NLL a coordinate"),
    ("ess", "ESS / N"),
    ("energy_w1", "E-W1"),
    ("energy_w2", "E-W2"),
    ("torus_w2", "T-W2"),
    ("torus_w2_proposal", "T-W2, proposal"),
    ("torus_jsd", "T-JSD"),
    ("tica_w2", "TICA-W2"),
    ("tica_jsd", "TICA-JSD"),
    ("chirality_correct", "right hand"),
    ("non_finite", "non-finite"),
    ("inversion_max", "max |z - z'|"),
];

/// Measures the weights that `config.init` names on the config's molecules with `n` proposals each; writes `eval.md`,
/// `eval.json` and pictures to `out`.
pub fn measure(config: &FlowTrainConfig, n: i64, device: Device, out: &Path) -> Result<Table> {
    let flow = network(config, device)?;
    let measures = config.measured().iter().map(|sequence| Measure::read(config, sequence, flow.config()));
    let measures = measures.collect::<Result<Vec<_>>>()?;
    let mut team = FlowTeam::new(flow)?;
    reseed(config.seed, Stream::Eval, 0);
    let evaluation = evaluate(&mut team, &measures, &Scheme { n, ..Scheme::of(config, true) })?;

    let figures: Map<String, Value> = evaluation.scalars.iter().map(|(name, v)| (name.clone(), json!(v))).collect();
    let value = |name: &str| evaluation.scalars.iter().find(|(known, _)| known == name).map(|(_, v)| *v);
    let mut table = Table::new(["molecule"].into_iter().chain(COLUMNS.map(|(_, heading)| heading)));
    let names = measures.iter().map(|measure| (measure.subject.name.as_str(), format!("{}/", measure.subject.name)));
    for (name, place) in names.chain([("mean", String::new())]) {
        let cell = |(column, _): (&str, &str)| value(&format!("eval/{place}{column}"));
        let cells = COLUMNS.map(|column| cell(column).map_or("–".to_string(), |v| figure(v, 3)));
        table.row([name.to_string()].into_iter().chain(cells));
    }

    let plots = out.join("plots");
    std::fs::create_dir_all(&plots).with_context(|| format!("{}: cannot make the folder", plots.display()))?;
    write_atomic(&out.join("eval.json"), &serde_json::to_vec_pretty(&figures)?)?;
    write_atomic(&out.join("eval.md"), table.to_markdown().as_bytes())?;
    evaluation.pictures.iter().try_for_each(|(stem, picture)| picture.save(&plots.join(format!("{stem}.png"))))?;
    Ok(table)
}
