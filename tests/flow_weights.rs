//! Weight files of flows: what is written builds its network by itself, what training frameworks leave is understood,
//! what is wrong is named.

mod flows_common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flows_common::{F32, F64, difference, figures, fixture, made_up, published, published_config, scrambled};
use sampler::flows::store::{self, CONFIG_KEY, Copy};
use sampler::flows::{Flow, FlowConfig, NetworkConfig, layout};
use sampler::io::weights::{read_weights, write_weights};
use tch::Tensor;

type Named = Vec<(String, Tensor)>;
type Spoil = Box<dyn Fn(&mut Named)>;

fn put(folder: &Path, tensors: &Named) -> PathBuf {
    let path = folder.join("w.safetensors");
    write_weights(&path, tensors, &BTreeMap::new()).unwrap();
    path
}

fn state() -> Named {
    figures("state_dict").into_iter().collect()
}

fn under(prefix: &str, tensors: &Named, factor: f64) -> Named {
    tensors.iter().map(|(name, t)| (format!("{prefix}{name}"), t * factor)).collect()
}

fn same(a: &dyn Flow, b: &dyn Flow, factor: f64) -> bool {
    let pairs = a.params().named().into_iter().zip(b.params().named());
    pairs.into_iter().all(|((n, x), (m, y))| n == m && difference(&x, &(y * factor)) == 0.0)
}

#[test]
fn a_written_file_builds_its_network_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.safetensors");
    let tarflow = NetworkConfig { channels: 16, head_dim: 8, num_blocks: 2, layers_per_block: 1, ..Default::default() };
    let configs = [published_config(), FlowConfig::Tarflow(NetworkConfig { max_num_tokens: 9, ..tarflow })];
    for config in configs {
        let flow = scrambled(&config, F32);
        store::write(&path, &flow, &BTreeMap::from([("source".into(), "a test".into())])).unwrap();
        let (again, report) = store::read(&path, None, Copy::Averaged, F32).unwrap();
        assert_eq!((again.config(), report.config_from), (&config, "the file"));
        assert_eq!((report.matched, report.parameters), (flow.params().named().len(), flow.params().count()));
        assert!(same(&again, &flow, 1.0));
        assert_eq!(read_weights(&path).unwrap().metadata["source"], "a test");

        let molecules = made_up(config.orders().len(), 9);
        let (x, out) = (Tensor::randn([2, 9, 3], F32), |flow: &dyn Flow, x: &Tensor| {
            flow.forward(x, &flow.prepare(&made_up(config.orders().len(), 9))).0
        });
        molecules.check(&config).unwrap();
        assert_eq!(difference(&out(&again, &x), &out(&flow, &x)), 0.0);
    }
}

#[test]
fn f64_networks_take_f32_files() {
    let read = store::read(&fixture("state_dict.safetensors"), Some(&published_config()), Copy::Averaged, F64);
    let (flow, report) = read.unwrap();
    assert_eq!((report.matched, report.parameters, report.buffers), (225, 465_237, 3));
    assert_eq!((report.converted, report.prefix.as_str()), (225, "net."));
    assert!(same(&flow, &published(F32), 1.0));
    let text = report.to_string();
    assert!(text.contains("225 tensors matched, 465237 parameters") && text.contains("prefix 'net.'"), "{text}");
}

/// Lightning checkpoints of the present code (averaged weights under `state_dict`, raw ones beside) and of the former
/// (raw weights under `model`, averages as a list in the order of parameters).
#[test]
fn copies_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (config, state, reference) = (published_config(), state(), published(F32));
    let bare: Named = state.iter().map(|(n, t)| (n.replacen("net.", "", 1), t.shallow_clone())).collect();
    let mut present = under("state_dict.", &state, 2.0);
    present.extend(under("state_dict.teacher.", &bare, 5.0));
    present.extend(under("current_model_state.", &state, 3.0));
    present.push(("loops.count".into(), Tensor::from(1.0)));

    let mut former = under("state_dict.net.model.", &bare, 3.0);
    let parameters = layout(&config).into_iter().filter(|entry| !entry.is_buffer());
    let find = |name: &str| bare.iter().find(|(n, _)| n == name).map(|(_, t)| t * 2.0).unwrap();
    former.extend(
        parameters.enumerate().map(|(i, entry)| (format!("state_dict.net.shadow_params.{i}"), find(&entry.name))),
    );
    former.push(("state_dict.net.num_updates".into(), Tensor::from(7i64)));

    for (file, aside) in [(present, "teacher"), (former, "num_updates")] {
        let path = put(folder.path(), &file);
        for (copy, factor) in [(Copy::Averaged, 2.0), (Copy::Raw, 3.0)] {
            let (flow, report) = store::read(&path, Some(&config), copy, F32).unwrap();
            assert!(same(&flow, &reference, factor), "{aside} {copy:?}: {report}");
            assert!(report.to_string().contains("passed over"), "{report}");
        }
    }
}

#[test]
fn shapes_tell_what_they_can() {
    let folder = tempfile::tempdir().unwrap();
    let base = NetworkConfig { channels: 128, num_blocks: 2, layers_per_block: 1, expansion: 2, ..Default::default() };
    let bare = NetworkConfig { lookahead_conditioning: Some(false), use_transition: Some(false), ..base.clone() };
    let bare = NetworkConfig { use_qkln: false, max_num_tokens: 20, ..bare };
    for config in [FlowConfig::Prose(base.clone()), FlowConfig::Prose(bare), FlowConfig::Tarflow(base)] {
        let flow = config.build(F32.0, F32.1).unwrap();
        let mut tensors = flow.params().named();
        let n = config.network().max_num_tokens;
        tensors.extend((0..2).map(|b| (format!("blocks.{b}.attn_mask"), Tensor::ones([n, n], F32))));
        let plain = tensors.iter().map(|(name, t)| (format!("net.{name}"), t.detach())).collect();
        let (again, report) = store::read(&put(folder.path(), &plain), None, Copy::Averaged, F32).unwrap();
        assert_eq!(again.config(), &config);
        assert!(report.config_from.starts_with("shapes") && report.buffers == 2);
    }
}

#[test]
fn files_that_do_not_fit_are_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = published_config();
    let at = |name: &str| state().iter().position(|(n, _)| n == name).unwrap();
    let bias = "net.blocks.1.proj_out.bias";
    let wrong: [(&str, Spoil); 6] = [
        ("1 tensors are missing, 'blocks.1.proj_out.bias'", Box::new(move |s| drop(s.remove(at(bias))))),
        (
            "'net.blocks.1.proj_out.bias' has shape [1, 6], expected [6]",
            Box::new(move |s| s[at(bias)].1 = s[at(bias)].1.view([1, 6])),
        ),
        ("holds NaN or infinity", Box::new(move |s| s[at(bias)].1 = &s[at(bias)].1 / 0.0)),
        ("'net.blocks.9.x' is not part of", Box::new(|s| s.push(("net.blocks.9.x".into(), Tensor::from(1.0))))),
        ("not a flow's weights", Box::new(|s| s.retain(|(n, _)| !n.contains("atom_embed")))),
        ("attn_mask' has shape", Box::new(move |s| s[at("net.blocks.0.attn_mask")].1 = Tensor::ones([9, 9], F32))),
    ];
    for (expected, spoil) in wrong {
        let mut tensors = state();
        spoil(&mut tensors);
        let path = put(folder.path(), &tensors);
        let text = store::read(&path, Some(&config), Copy::Averaged, F32).err().unwrap().to_string();
        assert!(text.contains(expected) && !text.contains('\n') && text.contains("w.safetensors"), "{text}");
    }
}

#[test]
fn damaged_configurations_in_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let huge = r#"{"type":"prose","channels":1000000000000}"#;
    for (text, expected) in
        [("{", "is not JSON"), ("[]", "mapping"), (huge, "'flow.channels'"), ("{}", "'type' must be")]
    {
        write_weights(&path, &state(), &BTreeMap::from([(CONFIG_KEY.into(), text.into())])).unwrap();
        let text = store::read(&path, None, Copy::Averaged, F32).err().unwrap().to_string();
        assert!(text.contains(expected) && text.contains("metadata 'flow'") && !text.contains('\n'), "{text}");
    }
    // A configuration larger than the file is refused before memory is spent on its network.
    write_weights(&path, &state(), &BTreeMap::from([(CONFIG_KEY.into(), r#"{"type":"prose"}"#.into())])).unwrap();
    let text = store::read(&path, None, Copy::Averaged, F32).err().unwrap().to_string();
    assert!(text.contains("has shape"), "{text}");
}
