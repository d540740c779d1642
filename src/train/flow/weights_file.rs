//! `flow import` and `flow init`: files of weights that say by themselves how to build their network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use tch::{Device, Kind};

use super::open::{Reading, describe};
use crate::bad_input;
use crate::flows::Flow;
use crate::flows::store::{self, CONFIG_KEY};
use crate::io::environment::sha256;
use crate::io::weights::{Format, Weights, read_weights};
use crate::log::progress::Terminal;
use crate::torch::seed::{Stream, reseed};

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Weights in any format: safetensors, .npz, or PyTorch's .pt, .pth and .ckpt
    pub file: PathBuf,

    /// Where to write them (safetensors, f32)
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,

    #[command(flatten)]
    pub reading: Reading,

    /// What the file's SHA-256 must be; with another nothing is written
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,

    /// Text to keep beside the weights, any number of times; `scale` (nm) and `temperature` (K) are used by other verbs
    #[arg(long = "note", value_name = "KEY=VALUE")]
    pub notes: Vec<String>,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The network: a training config or a file with a `flow:` section, such as configs/flow/prose.yaml
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,

    /// Keys to change, by dotted path: flow.num_blocks=2
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,

    /// Where to write the weights (safetensors, f32)
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,

    /// Seed of the weights, in place of the config's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Reads weights of any format, checks that all of a network is there, and writes them with its configuration.
pub fn import(args: &ImportArgs) -> Result<()> {
    let notes = parsed(&args.notes)?;
    let hash = checked_hash(&args.file, args.sha256.as_deref())?;
    let mut kept = carried(&read_weights(&args.file)?);
    let (flow, report) = args.reading.flow(&args.file, (Kind::Float, Device::Cpu))?;

    let name = args.file.file_name().unwrap_or_default().to_string_lossy().to_string();
    kept.extend([("source".to_string(), name), ("source_sha256".to_string(), hash)]);
    kept.insert("source_copy".to_string(), args.reading.copy.name().to_string());
    kept.extend(notes);
    store::write(&args.out, &flow, &kept)?;

    let mut terminal = Terminal::new();
    terminal.line(&report.to_string());
    if report.config_from.starts_with("shapes") {
        let width = flow.config().network().head_dim;
        terminal.line(&format!(
            "taken for published, as shapes do not tell: heads of {width} channels, {} as orders of atoms and all \
            constants; --config names others",
            flow.config().orders().join(", ")
        ));
    }
    written(&mut terminal, &args.out)
}

/// Writes a network as training would start it.
pub fn init(args: &InitArgs) -> Result<()> {
    let described = describe(&args.config, &args.overrides)?;
    let seed = args.seed.unwrap_or(described.seed);
    reseed(seed, Stream::Init, 0);
    let flow = described.flow.build(Kind::Float, Device::Cpu)?;
    let mut notes = described.notes;
    notes.insert("source".to_string(), format!("random, seed {seed}"));
    store::write(&args.out, &flow, &notes)?;

    let mut terminal = Terminal::new();
    terminal.line(&format!("{} parameters, seed {seed}", flow.params().count()));
    written(&mut terminal, &args.out)
}

fn written(terminal: &mut Terminal, out: &Path) -> Result<()> {
    terminal.result(&format!("{}  {}", sha256(out)?, out.display()));
    Ok(())
}

/// SHA-256 of a file, which must be the expected one.
pub(super) fn checked_hash(file: &Path, expected: Option<&str>) -> Result<String> {
    let name = file.display();
    if let Some(hex) = expected.filter(|hex| hex.len() != 64 || !hex.chars().all(|c| c.is_ascii_hexdigit())) {
        return Err(bad_input!("--sha256 '{hex}': expected 64 hexadecimal digits"));
    }
    // Devices and pipes may have no end.
    let about = std::fs::metadata(file).map_err(|error| bad_input!("{name}: cannot be read ({error})"))?;
    if !about.is_file() {
        return Err(bad_input!("{name}: is no regular file, expected weights"));
    }
    let found = sha256(file).map_err(|error| bad_input!("{name}: cannot be read ({error})"))?;
    match expected {
        Some(hex) if !hex.eq_ignore_ascii_case(&found) => {
            Err(bad_input!("{name}: has SHA-256 {found}, expected {}", hex.to_ascii_lowercase()))
        }
        _ => Ok(found),
    }
}

/// What goes over from the old file's metadata: all texts of a file such as this writes, and how long training took.
fn carried(weights: &Weights) -> BTreeMap<String, String> {
    let own = |key: &str| key != CONFIG_KEY && key != "format";
    let trained = |key: &str| matches!(key, "epoch" | "global_step");
    let keep = |key: &str| if weights.format == Format::Safetensors { own(key) } else { trained(key) };
    weights.metadata.iter().filter(|(key, _)| keep(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// `KEY=VALUE` texts as a map.
fn parsed(notes: &[String]) -> Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for note in notes {
        let Some((key, value)) = note.split_once('=') else {
            return Err(bad_input!("--note '{note}': expected KEY=VALUE"));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if key.is_empty() || !key.chars().all(plain) || key == CONFIG_KEY {
            return Err(bad_input!("--note '{note}': KEY must be letters, digits, _, - or ., and not '{CONFIG_KEY}'"));
        }
        let positive = value.parse::<f64>().is_ok_and(|number| number.is_finite() && number > 0.0);
        if matches!(key, "scale" | "temperature") && !positive {
            return Err(bad_input!("--note '{note}': '{key}' must be a positive number"));
        }
        if map.insert(key.to_string(), value.to_string()).is_some() {
            return Err(bad_input!("--note '{note}': '{key}' was given before"));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_keys_and_values() {
        let text = |notes: &[&str]| parsed(&notes.iter().map(|note| note.to_string()).collect::<Vec<_>>());
        let map = text(&["scale=0.35", "origin=https://a.b/c?d=e", "empty="]).unwrap();
        assert_eq!(
            (map["scale"].as_str(), map["origin"].as_str(), map["empty"].as_str()),
            ("0.35", "https://a.b/c?d=e", "")
        );
        let wrong: [(&[&str], &str); 6] = [
            (&["scale"], "expected KEY=VALUE"),
            (&["=1"], "KEY must be"),
            (&["flow={}"], "not 'flow'"),
            (&["a b=1"], "KEY must be"),
            (&["scale=-1"], "positive number"),
            (&["a=1", "a=2"], "given before"),
        ];
        for (notes, expected) in wrong {
            let error = text(notes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
