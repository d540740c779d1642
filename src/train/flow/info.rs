//! `flow info`: what a file of weights holds.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use tch::{Device, Kind};

use super::open::Reading;
use super::weights_file::checked_hash;
use crate::flows::store::{CONFIG_KEY, Report};
use crate::flows::{Flow, FlowConfig};
use crate::io::weights::read_weights;
use crate::log::progress::Terminal;
use crate::log::table::Table;

#[derive(Debug, Args)]
pub struct InfoArgs {
    /// Weights in any format: safetensors, .npz, or PyTorch's .pt, .pth and .ckpt
    pub file: PathBuf,

    #[command(flatten)]
    pub reading: Reading,

    /// Print a JSON object instead of a table: file, format, bytes, sha256, network, parameters, tensors, config,
    /// config_from, orders, prefix, metadata, passed_over
    #[arg(long)]
    pub json: bool,
}

/// Longest text of the metadata that the table shows.
const SHOWN: usize = 100;

/// Reads the whole file, as every other verb would, and says what it found.
pub fn info(args: &InfoArgs) -> Result<()> {
    let weights = read_weights(&args.file)?;
    let mut metadata = weights.metadata;
    metadata.remove(CONFIG_KEY);
    drop(weights.tensors);
    let (flow, report) = args.reading.flow(&args.file, (Kind::Float, Device::Cpu))?;
    let about = json!({
        "file": args.file.display().to_string(),
        "format": report.format,
        "bytes": std::fs::metadata(&args.file)?.len(),
        "sha256": checked_hash(&args.file, None)?,
        "network": network(flow.config()),
        "parameters": report.parameters,
        "tensors": report.matched,
        "config_from": report.config_from,
        "prefix": report.prefix,
        "orders": flow.config().orders(),
        "config": flow.config(),
        "metadata": metadata,
        "passed_over": report.set_aside,
    });
    let text = if args.json { about.to_string() } else { table(&about, flow.config(), &report).to_text() };
    Terminal::new().result(&text);
    Ok(())
}

fn network(config: &FlowConfig) -> &'static str {
    match config {
        FlowConfig::Prose(_) => "prose",
        FlowConfig::Tarflow(_) => "tarflow",
    }
}

fn table(about: &Value, config: &FlowConfig, report: &Report) -> Table {
    let mut table = Table::new(["what", "found"]);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), shown);
    for key in ["file", "format", "bytes", "sha256", "network", "parameters", "tensors", "config_from", "prefix"] {
        table.row([key.to_string(), text(&about[key])]);
    }
    let n = config.network();
    let heads = format!("{} channels, {} heads of {}", n.channels, n.channels / n.head_dim, n.head_dim);
    let depth = format!("{} blocks of {} layers, expansion {}", n.num_blocks, n.layers_per_block, n.expansion);
    table.row(["size".to_string(), format!("{heads}; {depth}; up to {} atoms", n.max_num_tokens)]);
    for (b, order) in config.orders().iter().enumerate() {
        table.row([format!("order {b}"), order.clone()]);
    }
    for (key, value) in about["metadata"].as_object().into_iter().flatten() {
        table.row([format!("metadata {}", shown(key)), text(value)]);
    }
    for (name, count) in &report.set_aside {
        table.row(["passed over".to_string(), format!("{count} under '{}'", shown(name))]);
    }
    table
}

/// A text from a file on one line: what a stranger wrote must not steer the terminal.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let cut: String = text.chars().take(SHOWN).map(plain).collect();
    if text.chars().nth(SHOWN).is_some() { cut + "…" } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_files_stay_on_their_line() {
        assert_eq!(shown("a\n\u{1b}[2Jb"), "a  [2Jb");
        assert_eq!(shown(&"é".repeat(SHOWN)), "é".repeat(SHOWN));
        assert_eq!(shown(&"é".repeat(SHOWN + 1)), "é".repeat(SHOWN) + "…");
    }
}
