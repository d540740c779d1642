//! Loading configs: what a sound one gives, and how a broken one is answered.

#[path = "common/broken_configs.rs"]
mod broken_configs;

use std::path::{Path, PathBuf};

use broken_configs::{Broken, SOUND, broken_configs};
use sampler::config::check;
use sampler::config::load::{Loaded, load};
use sampler::torch::error::is_bad_input;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    seed: u64,
    target: Target,
    process: Process,
    #[serde(default)]
    net: Net,
    loss: Loss,
    #[serde(default)]
    train: Train,
    #[serde(default)]
    eval: Eval,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Target {
    Funnel { dim: i64 },
    Gaussian { dim: i64, mean: Vec<f64>, scale: Option<f64> },
    Mixture { parts: Vec<Part> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    weight: f64,
    mean: [f64; 2],
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Process {
    Cmcd(Cmcd),
    Pis { num_steps: i64, sigma: f64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cmcd {
    num_steps: i64,
    #[serde(default)]
    annealed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Net {
    PisGrad { hidden: usize, layers: usize },
    Mlp { hidden: usize },
}

impl Default for Net {
    fn default() -> Self {
        Net::PisGrad { hidden: 64, layers: 2 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Loss {
    RklLd,
    Lv,
    Tb { gamma: f64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Train {
    steps: u64,
    batch: i64,
    learning_rate: f64,
    clip_norm: Option<f64>,
    eval_every: u64,
    checkpoint_every: u64,
    keep_checkpoints: usize,
    chunk_rows: Option<i64>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 64,
            learning_rate: 1e-3,
            clip_norm: None,
            eval_every: 100,
            checkpoint_every: 500,
            keep_checkpoints: 3,
            chunk_rows: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Eval {
    samples: i64,
}

impl Default for Eval {
    fn default() -> Self {
        Self { samples: 2000 }
    }
}

/// What the rooms that build from a config would check.
fn validate(config: &Config) -> anyhow::Result<()> {
    let train = &config.train;
    if let Target::Funnel { dim } = config.target {
        check::at_least("target.dim", dim, 2)?;
    }
    if let Process::Cmcd(cmcd) = &config.process {
        check::at_least("process.num_steps", cmcd.num_steps, 1)?;
    }
    if let Net::PisGrad { hidden, .. } = config.net {
        check::at_least("net.hidden", hidden, 1)?;
    }
    check::at_least("train.batch", train.batch, 1)?;
    check::positive("train.learning_rate", train.learning_rate)?;
    train.clip_norm.map_or(Ok(()), |norm| check::positive("train.clip_norm", norm))?;
    check::at_least("train.keep_checkpoints", train.keep_checkpoints, 1)?;
    train.chunk_rows.map_or(Ok(()), |rows| check::at_least("train.chunk_rows", rows, 1))?;
    check::at_least("eval.samples", config.eval.samples, 1)
}

fn load_checked(path: &Path, overrides: &[&str]) -> anyhow::Result<Loaded<Config>> {
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    let loaded = load::<Config>(path, &overrides)?;
    match validate(&loaded.value) {
        Ok(()) => Ok(loaded),
        Err(error) => Err(loaded.locate(error)),
    }
}

fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let config = folder.path().join("config.yaml");
    (folder, config)
}

/// Loads a text with overrides.
fn from(yaml: &str, overrides: &[&str]) -> anyhow::Result<Loaded<Config>> {
    let (_folder, path) = folder(&[("config.yaml", yaml.as_bytes())]);
    load_checked(&path, overrides)
}

fn message(result: anyhow::Result<Loaded<Config>>) -> String {
    let error = result.err().expect("an error");
    assert!(is_bad_input(&error), "not the person's fault? {error}");
    error.to_string()
}

#[test]
fn every_mistake_gets_one_line_that_names_it() {
    let cases = broken_configs();
    assert!(cases.len() >= 60);
    let mut failures = Vec::new();
    for Broken { name, yaml, beside, overrides, says } in cases {
        let mut files: Vec<(&str, &[u8])> = beside.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        files.extend(yaml.as_deref().map(|yaml| ("config.yaml", yaml)));
        let (_folder, path) = folder(&files);

        let Err(error) = load_checked(&path, &overrides) else {
            failures.push(format!("{name}: accepted"));
            continue;
        };
        let text = error.to_string();
        let complete =
            says.iter().all(|part| text.contains(part)) && (text.contains(".yaml") || text.starts_with("override '"));
        if !is_bad_input(&error) || text.contains('\n') || text.len() > 600 || !complete {
            failures.push(format!("{name}: {text}\n    expected {says:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_list_of_values_is_left_to_sweeps() {
    let text = message(from(SOUND, &["train.steps=1,2"]));
    assert!(text.contains("'train.steps=1,2'") && text.contains("sweep"), "{text}");
}

#[test]
fn a_sound_config_loads_with_defaults_and_reloads_alike() {
    let loaded = from(SOUND, &[]).unwrap();
    assert_eq!(loaded.name, "config");
    assert_eq!(loaded.value.target, Target::Funnel { dim: 10 });
    assert_eq!(loaded.value.train.learning_rate, 1e-3);

    let sparse = "target: {type: funnel, dim: 2}\nprocess: {type: cmcd, num_steps: 4}\nloss: {type: lv}\n";
    let loaded = from(sparse, &[]).unwrap();
    assert_eq!(loaded.value.net, Net::default());
    assert!(loaded.yaml.contains("hidden: 64") && loaded.yaml.contains("steps: 1000"), "{}", loaded.yaml);
    let again = from(&loaded.yaml, &[]).unwrap();
    assert_eq!(again.value, loaded.value);
    assert_eq!(again.yaml, loaded.yaml);
}

#[test]
fn children_lay_themselves_over_parents() {
    let child = "extends: sub/middle.yaml\ntrain: {batch: 5}\nprocess: {type: pis, num_steps: 3, sigma: 2}\n";
    let middle = "extends: ../base.yaml\ntrain: {batch: 4, steps: 4}\nnet: {hidden: 4}\n";
    let (folder, path) = folder(&[("config.yaml", child.as_bytes()), ("base.yaml", SOUND.as_bytes())]);
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/middle.yaml"), middle).unwrap();

    let config = load_checked(&path, &["net.layers=9"]).unwrap().value;
    assert_eq!((config.train.batch, config.train.steps, config.train.eval_every), (5, 4, 5));
    assert_eq!(config.net, Net::PisGrad { hidden: 4, layers: 9 });
    assert_eq!(config.process, Process::Pis { num_steps: 3, sigma: 2.0 });
}

#[test]
fn a_changed_type_in_a_file_starts_afresh() {
    let base = SOUND.replace("type: rkl_ld", "type: tb\n  gamma: 1");
    let child = "extends: base.yaml\nloss: {type: lv}\n";
    let (_folder, path) = folder(&[("config.yaml", child.as_bytes()), ("base.yaml", base.as_bytes())]);
    assert_eq!(load_checked(&path, &[]).unwrap().value.loss, Loss::Lv);
    let child = "extends: base.yaml\nnet: {type: mlp}\n";
    std::fs::write(&path, child).unwrap();
    let text = message(load_checked(&path, &[]));
    assert!(text.contains("config.yaml:2:") && text.contains("missing key 'net.hidden'"), "{text}");
}

#[test]
fn a_changed_type_on_the_command_line_keeps_what_both_types_know() {
    let tb = SOUND.replace("type: rkl_ld", "type: tb\n  gamma: 1");
    assert_eq!(from(&tb, &["loss.type=lv"]).unwrap().value.loss, Loss::Lv);
    assert_eq!(from(SOUND, &["net.type=mlp"]).unwrap().value.net, Net::Mlp { hidden: 16 });
    let both = ["process.sigma=0.5", "process.type=pis"];
    assert_eq!(from(SOUND, &both).unwrap().value.process, Process::Pis { num_steps: 8, sigma: 0.5 });

    // A key asked for on the command line is never dropped in silence.
    let text = message(from(&tb, &["loss.type=lv", "loss.gamma=3"]));
    assert!(text.contains("'loss.gamma=3'") && text.contains("unknown key 'loss.gamma'"), "{text}");
    let text = message(from(SOUND, &["loss.type=tb"]));
    assert!(text.contains("'loss.type=tb'") && text.contains("missing key 'loss.gamma'"), "{text}");
}

#[test]
fn overrides_parse_as_yaml_and_reach_what_the_file_leaves_out() {
    let gaussian = "target={type: gaussian, dim: 2, mean: [0, 1], scale: 3}";
    let config = from(SOUND, &[gaussian, "target.mean.1=7", "target.scale=null", "train.clip_norm=~"]).unwrap().value;
    assert_eq!(config.target, Target::Gaussian { dim: 2, mean: vec![0.0, 7.0], scale: None });
    assert_eq!(config.train.clip_norm, None);

    let sparse = "target: {type: funnel, dim: 2}\nprocess: {type: cmcd, num_steps: 4}\nloss: {type: lv}\n";
    assert_eq!(from(sparse, &["train.steps=7"]).unwrap().value.train, Train { steps: 7, ..Train::default() });
    assert_eq!(from(sparse, &["seed=1", "seed=2"]).unwrap().value.seed, 2);
}

#[test]
fn faults_inside_lists_and_flow_style_are_placed() {
    let parts = |parts: &str| SOUND.replace("type: funnel\n  dim: 10", &format!("type: mixture\n  parts:\n{parts}"));
    let sound = "    - {weight: 1, mean: [0, 0]}\n";

    let text = message(from(&parts(&format!("{sound}    - {{weight: 1, maen: [0, 0]}}\n")), &[]));
    assert!(
        text.contains("config.yaml:6:") && text.contains("'target.parts.1.maen'") && text.contains("'mean'"),
        "{text}"
    );
    let text = message(from(&parts(&format!("{sound}{sound}    - {{mean: [0, 0]}}\n    - {{mean: [1, 1]}}\n")), &[]));
    assert!(text.contains("config.yaml:7:") && text.contains("missing key 'target.parts.2.weight'"), "{text}");
    let text = message(from(&parts(&format!("{sound}    - {{weight: 1, mean: [0, x]}}\n")), &[]));
    assert!(text.contains("'target.parts.1.mean.1'") && text.contains("a number"), "{text}");
    let text = message(from(&parts(&format!("{sound}    - {{weight: 1, mean: [0]}}\n")), &[]));
    assert!(text.contains("config.yaml:6:") && text.contains("'target.parts.1.mean'"), "{text}");
}

#[test]
fn anchors_and_merge_keys_work() {
    let yaml = SOUND.replace("  type: pis_grad\n  hidden: 16\n", "  <<: &sizes {hidden: 32}\n  type: pis_grad\n");
    assert_eq!(from(&yaml, &[]).unwrap().value.net, Net::PisGrad { hidden: 32, layers: 2 });
}

#[test]
fn a_folder_is_answered_with_what_it_holds() {
    let (folder, _) = folder(&[("config.yaml", SOUND.as_bytes())]);
    let text = message(load_checked(folder.path(), &[]));
    assert!(text.contains("is a folder") && text.contains("config.yaml") && !text.contains('\n'), "{text}");
}

#[test]
fn damaged_text_never_panics() {
    // A linear congruential generator (Knuth's MMIX constants): the same damage on every machine.
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    let pieces = [
        ":",
        "- ",
        "{",
        "[",
        "'",
        "\"",
        "*a",
        "&a ",
        "!t ",
        "|\n",
        "\t",
        "<<: ",
        "? ",
        "~",
        ".inf",
        "\u{e9}",
        "type: lv\n",
    ];
    let (_folder, path) = folder(&[]);
    let mut refused = 0;
    for _ in 0..3000 {
        let mut text = SOUND.to_string();
        for _ in 0..1 + below(3) {
            let at = below(text.len());
            if !text.is_char_boundary(at) {
                continue;
            }
            match below(3) {
                0 => text.insert_str(at, pieces[below(pieces.len())]),
                1 => drop(text.remove(at)),
                _ => text.truncate(at + 1),
            }
        }
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, &text).unwrap();
        if let Err(error) = load_checked(&path, &[]) {
            refused += 1;
            let line = error.to_string();
            assert!(is_bad_input(&error) && !line.contains('\n') && line.contains("config.yaml"), "{text}\n{line}");
        }
    }
    assert!(refused > 1000, "{refused} of 3000 refused");
}

#[test]
fn large_and_deep_mistakes_get_short_answers() {
    let long = format!("{SOUND}{}: 1\n", "k".repeat(1000));
    let list = |last: &str| {
        SOUND.replace("type: funnel", &format!("mean: [{}{last}]\n  type: gaussian", "0, ".repeat(100_000)))
    };
    let deep = format!("{}=1", vec!["a"; 30_000].join("."));
    for (yaml, overrides, part) in [
        (long, vec![], "unknown key 'kkk"),
        (list("x"), vec![], "'target.mean.100000' must be a number"),
        (SOUND.to_string(), vec![deep.as_str()], "deep"),
    ] {
        let text = message(from(&yaml, &overrides));
        assert!(text.contains(part) && text.len() < 1000, "{}", &text[..text.len().min(2000)]);
    }
}
