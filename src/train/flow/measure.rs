//! `flow eval`: a flow on the molecules that a config measures, as a table.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};
use tch::Device;

use super::config::FlowTrainConfig;
use super::evaluate::{self, Measure, Scheme};
use super::launch::network;
use super::team::FlowTeam;
use crate::config::load;
use crate::flows::Flow;
use crate::io::atomic::write_atomic;
use crate::log::progress::Terminal;
use crate::log::table::{Table, figure};
use crate::torch::seed::{Stream, reseed};
use crate::torch::{device, threads};

#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A config as for `flow train`; its data: and eval: sections count
    pub config: PathBuf,
    /// Keys to change
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Weights of a flow
    #[arg(long)]
    pub weights: PathBuf,
    /// Proposals of each molecule
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(2..))]
    pub n: i64,
    /// Folder for eval.md, eval.json and plots/; without it runs/flow/eval/CONFIG
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// CPU threads
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

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

/// Measures, and shows the table.
pub fn evaluate(args: &EvalArgs) -> Result<()> {
    threads::configure(args.threads.map(NonZeroUsize::get));
    let (device, _) = device::select(&args.device)?;
    let mut loaded = load::load::<FlowTrainConfig>(&args.config, &args.overrides)?;
    (loaded.value.flow, loaded.value.init) = (None, Some(args.weights.clone()));
    let checked = loaded.value.validate();
    checked.map_err(|error| loaded.locate(error))?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs/flow/eval").join(&loaded.name));
    let table = measure(&loaded.value, args.n, device, &out).map_err(|error| loaded.locate(error))?;
    let mut terminal = Terminal::new();
    terminal.result(&table.to_text());
    terminal.line(&format!("written: {0}/eval.md, {0}/eval.json, {0}/plots/", out.display()));
    Ok(())
}

/// Measures the weights that `config.init` names on the config's molecules with `n` proposals each; writes `eval.md`,
/// `eval.json` and pictures to `out`.
fn measure(config: &FlowTrainConfig, n: i64, device: Device, out: &Path) -> Result<Table> {
    let flow = network(config, device)?;
    let measures = config.measured().iter().map(|sequence| Measure::read(config, sequence, flow.config()));
    let measures = measures.collect::<Result<Vec<_>>>()?;
    let mut team = FlowTeam::new(flow)?;
    reseed(config.seed, Stream::Eval, 0);
    let evaluation = evaluate::evaluate(&mut team, &measures, &Scheme { n, ..Scheme::of(config, true) })?;

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
