//! `flow sample`: proposals of one peptide in resumable chunks, their weights, files and pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use super::proposals::Proposals;
use super::reference::Reference;
use super::report::{Report, Settings, report};
use super::subject::Subject;
use super::team::FlowTeam;
use crate::bad_input;
use crate::flows::{FlowConfig, store};
use crate::io::atomic::write_atomic;
use crate::io::tensors::{read_tensors, take, write_tensors};
use crate::log::progress::Terminal;
use crate::samplers::importance::ReweightConfig;
use crate::targets::molecule::pdb_writer::PdbWriter;
use crate::targets::molecule::topology::Topology;
use crate::torch::seed::{Stream, reseed};

/// Proposals in one file of a run.
const CHUNK: i64 = 10_000;
/// Proposals that are held in memory for figures and pictures, and written as one file.
const HELD: i64 = 100_000;

/// What `flow sample` was asked for.
#[derive(Debug, Clone)]
pub struct SamplePlan {
    /// Sequence or PDB file.
    pub peptide: String,
    pub topology: Topology,
    pub system: Option<PathBuf>,
    /// Conformations to compare with: `x` or `positions` in nm.
    pub reference: Option<PathBuf>,
    /// nm.
    pub scale: f64,
    /// K.
    pub temperature: f64,
    pub n: i64,
    /// Rows that go through the network at once.
    pub batch: i64,
    pub seed: u64,
    /// Models of the PDB file.
    pub models: i64,
    pub reweight: ReweightConfig,
    pub out: PathBuf,
    pub resume: bool,
}

/// Notes of a weights file that sampling needs.
pub struct Notes {
    pub scale: Option<f64>,
    pub temperature: Option<f64>,
}

impl Notes {
    /// Reads `scale` (nm) and `temperature` (K) from a weights file's metadata.
    pub fn of(path: &Path) -> Result<Self> {
        let metadata = crate::io::weights::read_weights(path)?.metadata;
        let number = |key: &str| metadata.get(key).and_then(|text| text.parse().ok());
        Ok(Self { scale: number("scale"), temperature: number("temperature") })
    }
}

/// Draws, weighs, writes; returns the figures.
pub fn sample(plan: &SamplePlan, team: &mut FlowTeam, terminal: &mut Terminal) -> Result<Vec<(String, f64)>> {
    let subject = subject(plan, team)?;
    let reference = plan.reference.as_ref().map(|path| Reference::read(path, &subject, plan.scale)).transpose()?;
    prepare_folder(plan)?;

    let mut held: Vec<Proposals> = Vec::new();
    let chunks = (plan.n + CHUNK - 1) / CHUNK;
    for chunk in 0..chunks {
        let count = CHUNK.min(plan.n - chunk * CHUNK);
        let proposals = chunk_of(plan, &subject, team, chunk, count)?;
        if chunk * CHUNK < HELD {
            held.push(proposals);
        }
        terminal.line(&format!("{} of {} proposals", chunk * CHUNK + count, plan.n));
    }
    let proposals = Proposals::joined(&held);
    let settings = Settings { reweight: plan.reweight.clone(), compared: 10_000, pictures: true, seed: plan.seed };
    let mut report = report(&subject, &proposals, reference.as_ref(), plan.scale, &settings)?;
    if subject.energy.is_some() && plan.n > HELD {
        stream_weights(plan, chunks, &mut report)?;
    }
    write_all(plan, &subject, &proposals, &report)?;
    Ok(report.figures)
}

fn subject(plan: &SamplePlan, team: &FlowTeam) -> Result<Subject> {
    use crate::flows::Flow;
    let name = Path::new(&plan.peptide).file_stem().map_or(plan.peptide.clone(), |stem| stem.to_string_lossy().into());
    let subject = Subject::new(&name, plan.topology.clone(), team.first().config())?;
    match &plan.system {
        Some(system) => subject.with_energy(system, plan.scale, plan.temperature),
        None => Ok(subject),
    }
}

/// A folder that holds other proposals is refused; one of the same is gone on with under `--resume`.
fn prepare_folder(plan: &SamplePlan) -> Result<()> {
    let folder = plan.out.join("samples");
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    let file = plan.out.join("plan.json");
    let own = json!({
        "peptide": plan.peptide, "scale": plan.scale, "temperature": plan.temperature, "seed": plan.seed,
        "batch": plan.batch, "system": plan.system,
    });
    if let Ok(text) = std::fs::read_to_string(&file) {
        let same = serde_json::from_str::<Value>(&text).is_ok_and(|stored| stored == own);
        if !(plan.resume && same) {
            let why = if plan.resume { "holds other proposals" } else { "holds proposals already" };
            let out = plan.out.display();
            return Err(bad_input!("{out}: {why}; name another folder with --out, or go on with --resume"));
        }
    }
    write_atomic(&file, &serde_json::to_vec_pretty(&own)?)
}

/// A chunk from its file, or drawn under a seed of its own and written.
fn chunk_of(plan: &SamplePlan, subject: &Subject, team: &mut FlowTeam, chunk: i64, count: i64) -> Result<Proposals> {
    let path = plan.out.join(format!("samples/chunk_{chunk:06}.safetensors"));
    if path.exists() {
        let stored = read_chunk(&path, subject, plan.scale)?;
        if stored.log_q.size()[0] >= count {
            return Ok(stored);
        }
    }
    reseed(plan.seed, Stream::Data, chunk as u64);
    let proposals = Proposals::draw(team, subject, count, plan.batch);
    write_proposals(&path, &proposals, None, plan.scale, subject)?;
    Ok(proposals)
}

/// `x` in nm, `log_q`, and `energy` in kJ/mol.
fn write_proposals(
    path: &Path,
    proposals: &Proposals,
    log_weight: Option<&Tensor>,
    scale: f64,
    subject: &Subject,
) -> Result<()> {
    let x = &proposals.x * scale;
    let kt = subject.energy.as_ref().map_or(f64::NAN, |energy| energy.kt);
    let energy = proposals.energy.as_ref().map(|energy| energy * kt);
    let mut tensors = vec![("x", &x), ("log_q", &proposals.log_q)];
    tensors.extend(energy.as_ref().map(|energy| ("energy", energy)));
    tensors.extend(log_weight.map(|log_weight| ("log_weight", log_weight)));
    let units = BTreeMap::from([
        ("x".to_string(), "nm".to_string()),
        ("energy".to_string(), "kJ/mol".to_string()),
        ("log_q".to_string(), format!("density of x / {scale} nm")),
    ]);
    write_tensors(path, &tensors, &units)
}

fn read_chunk(path: &Path, subject: &Subject, scale: f64) -> Result<Proposals> {
    let mut tensors = read_tensors(path)?;
    let (x, log_q) = (take(path, &mut tensors, "x")? / scale, take(path, &mut tensors, "log_q")?);
    let energy = match &subject.energy {
        Some(energy) => Some(take(path, &mut tensors, "energy")? / energy.kt),
        None => None,
    };
    Ok(Proposals { x, log_q, energy })
}

/// The weights of all proposals, read chunk by chunk; replaces the figures of those in memory.
fn stream_weights(plan: &SamplePlan, chunks: i64, report: &mut Report) -> Result<()> {
    use crate::samplers::importance::Reweighter;
    use crate::targets::molecule::GAS_CONSTANT;
    let mut reweighter = Reweighter::new(&plan.reweight)?;
    for chunk in 0..chunks {
        let path = plan.out.join(format!("samples/chunk_{chunk:06}.safetensors"));
        let mut tensors = read_tensors(&path)?;
        let x = take(&path, &mut tensors, "x")?.to_kind(Kind::Double) / plan.scale;
        let source = plan.reweight.center.energy(&x) - take(&path, &mut tensors, "log_q")?;
        reweighter.push(&source, &(take(&path, &mut tensors, "energy")? / (GAS_CONSTANT * plan.temperature)))?;
    }
    let summary = reweighter.finish().summary;
    let streamed = [
        ("ess", summary.ess),
        ("log_z", summary.log_z),
        ("largest_share", summary.largest_share),
        ("non_finite", summary.non_finite as f64),
        ("filtered", summary.filtered as f64),
    ];
    for (name, value) in streamed {
        if let Some((_, figure)) = report.figures.iter_mut().find(|(known, _)| known == name) {
            *figure = value;
        }
    }
    Ok(())
}

fn write_all(plan: &SamplePlan, subject: &Subject, proposals: &Proposals, report: &Report) -> Result<()> {
    let out = |name: &str| plan.out.join(name);
    write_proposals(&out("samples.safetensors"), proposals, report.log_weight.as_ref(), plan.scale, subject)?;
    // The resampled set where there are weights: what a viewer should show.
    let rows = report.resampled.as_ref().map(|rows| rows.narrow(0, 0, plan.models.min(rows.size()[0])));
    let shown = match rows {
        Some(rows) => proposals.x.index_select(0, &rows),
        None => proposals.x.narrow(0, 0, plan.models.min(proposals.x.size()[0])),
    };
    let mut pdb = PdbWriter::create(&out("samples.pdb"), &subject.topology)?;
    pdb.append(&(shown * plan.scale))?;
    pdb.finish()?;

    let folder = out("plots");
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    report.pictures.iter().try_for_each(|(stem, picture)| picture.save(&folder.join(format!("{stem}.png"))))?;
    let mut summary: Map<String, Value> = report.figures.iter().map(|(name, v)| (name.clone(), json!(v))).collect();
    summary.insert("proposals".into(), json!(plan.n));
    summary.insert("peptide".into(), json!(plan.peptide));
    write_atomic(&out("summary.json"), &serde_json::to_vec_pretty(&summary)?)
}

/// The network that a YAML file describes, in this project's keys or in those of the published configurations.
pub fn network(path: &Path) -> Result<FlowConfig> {
    let text = crate::io::text::read_text(path, 1 << 20, "a YAML file")?;
    let value = crate::config::yaml_to_json(&text)?;
    FlowConfig::from_json(&value, &path.display().to_string())
}

/// Reads weights of any format into a team.
pub fn team_of(weights: &Path, config: Option<&FlowConfig>, options: (Kind, Device)) -> Result<FlowTeam> {
    FlowTeam::new(store::read(weights, config, store::Copy::Averaged, options)?.0)
}
