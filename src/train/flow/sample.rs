//! `flow sample`: proposals of one peptide in resumable chunks, their weights, files and pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use super::data::evenly;
use super::proposals::Proposals;
use super::reference::Reference;
use super::report::{Report, Settings, report, weight_figures};
use super::sample_smc::Annealing;
use super::subject::Subject;
use super::team::FlowTeam;
use crate::bad_input;
use crate::config::check;
use crate::flows::Flow;
use crate::io::atomic::write_atomic;
use crate::io::tensors::{read_tensors, take, write_tensors};
use crate::io::weights::read_weights;
use crate::log::progress::Terminal;
use crate::samplers::importance::{ReweightConfig, Reweighter, SmcConfig};
use crate::targets::molecule::pdb_writer::PdbWriter;
use crate::targets::molecule::topology::Topology;
use crate::torch::seed::{Stream, reseed};

/// Proposals in one file of a run.
pub const CHUNK: i64 = 10_000;
/// Points a side in distances between distributions; see `eval.compared`.
pub(super) const COMPARED: i64 = 2000;
/// Proposals that are held in memory for figures and pictures, and written as one file.
pub const HELD: i64 = 100_000;

/// What `flow sample` was asked for.
#[derive(Debug, Clone)]
pub struct SamplePlan {
    /// Sequence or PDB file.
    pub peptide: String,
    pub topology: Topology,
    /// Of the weights file: proposals of other weights are never gone on with.
    pub weights_sha256: String,
    /// OpenMM System file; without it there are neither energies nor weights.
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
    /// Anneals the proposals in memory towards the molecule's energy, too.
    pub smc: Option<SmcConfig>,
    pub out: PathBuf,
    pub resume: bool,
    /// Proposals in one file, and those held in memory (in whole files): [`CHUNK`] and [`HELD`].
    pub chunk: i64,
    pub held: i64,
}

impl SamplePlan {
    /// Checks what can be checked without reading files; keys are named as options.
    pub fn validate(&self) -> Result<()> {
        check::positive("--scale", self.scale)?;
        check::positive("--temperature", self.temperature)?;
        self.reweight.validate()
    }

    /// What proposals depend on, as `plan.json` holds it: those of another plan are not gone on with.
    fn identity(&self) -> Result<Vec<u8>> {
        let identity = json!({
            "peptide": self.peptide, "weights_sha256": self.weights_sha256, "system": self.system,
            "scale": self.scale, "temperature": self.temperature, "seed": self.seed, "batch": self.batch,
            "chunk": self.chunk,
        });
        Ok(serde_json::to_vec_pretty(&identity)?)
    }

    fn chunks(&self) -> i64 {
        (self.n + self.chunk - 1) / self.chunk
    }

    /// Proposals of a chunk.
    fn count(&self, chunk: i64) -> i64 {
        self.chunk.min(self.n - chunk * self.chunk)
    }

    fn file(&self, chunk: i64) -> PathBuf {
        self.out.join(format!("samples/chunk_{chunk:06}.safetensors"))
    }
}

/// Notes of a weights file that sampling needs.
pub struct Notes {
    pub scale: Option<f64>,
    pub temperature: Option<f64>,
}

impl Notes {
    /// Reads `scale` (nm) and `temperature` (K) from a weights file's metadata.
    pub fn of(path: &Path) -> Result<Self> {
        let metadata = read_weights(path)?.metadata;
        let number = |key: &str| {
            let Some(text) = metadata.get(key) else { return Ok(None) };
            let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && number.is_finite());
            let file = path.display();
            let wrong = || bad_input!("{file}: metadata '{key}' is '{text}', expected a positive number");
            number.map(Some).ok_or_else(wrong)
        };
        Ok(Self { scale: number("scale")?, temperature: number("temperature")? })
    }
}

/// Draws, weighs, writes; returns the figures.
pub fn draw(plan: &SamplePlan, team: &mut FlowTeam, terminal: &mut Terminal) -> Result<Vec<(String, f64)>> {
    let subject = subject(plan, team)?;
    let reference = plan.reference.as_ref().map(|path| Reference::read(path, &subject, plan.scale)).transpose()?;
    prepare_folder(plan)?;

    let mut held: Vec<Proposals> = Vec::new();
    for chunk in 0..plan.chunks() {
        let proposals = chunk_of(plan, &subject, team, chunk)?;
        if chunk * plan.chunk < plan.held {
            held.push(proposals);
        }
        terminal.line(&format!("{} of {} proposals", chunk * plan.chunk + plan.count(chunk), plan.n));
    }
    let proposals = Proposals::joined(&held);
    let settings = Settings { reweight: plan.reweight.clone(), compared: COMPARED, pictures: true, seed: plan.seed };
    let mut report = report(&subject, &proposals, reference.as_ref(), plan.scale, &settings)?;
    if subject.energy.is_some() && plan.n > proposals.log_q.size()[0] {
        stream_weights(plan, &subject, &mut report)?;
    }
    if let Some(config) = &plan.smc {
        let task = Annealing { plan, config, subject: &subject, reference: reference.as_ref() };
        task.run(team, &proposals, &mut report)?;
    }
    write_all(plan, &subject, &proposals, &report)?;
    Ok(report.figures)
}

fn subject(plan: &SamplePlan, team: &FlowTeam) -> Result<Subject> {
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
    let (file, own, out) = (plan.out.join("plan.json"), plan.identity()?, plan.out.display());
    match std::fs::read(&file) {
        Ok(_) if !plan.resume => {
            Err(bad_input!("{out}: holds proposals already; go on with --resume, or name another folder with --out"))
        }
        Ok(stored) if stored != own => Err(bad_input!(
            "{out}: holds proposals of another plan (see its plan.json); name another folder with --out"
        )),
        _ => write_atomic(&file, &own),
    }
}

/// The proposals of a chunk: those that its file has, and the rest drawn and added to it.
///
/// What is drawn is read back, so that figures do not depend on which session drew it.
fn chunk_of(plan: &SamplePlan, subject: &Subject, team: &mut FlowTeam, chunk: i64) -> Result<Proposals> {
    let (path, count) = (plan.file(chunk), plan.count(chunk));
    let mut parts = Vec::new();
    if path.exists() {
        let stored = read_chunk(&path, subject, plan.scale)?;
        if stored.log_q.size()[0] >= count {
            return Ok(stored.first(count));
        }
        parts.push(stored);
    }
    let have = parts.iter().map(|part| part.log_q.size()[0]).sum::<i64>();
    for batch in have / plan.batch..(count + plan.batch - 1) / plan.batch {
        // Always the noise of a whole batch under its own seed, whatever the session asked for: a chunk may grow.
        reseed(plan.seed, Stream::Data, ((chunk as u64) << 32) + batch as u64);
        let noise = Proposals::noise(team, subject, plan.batch);
        let (from, to) = ((have - batch * plan.batch).max(0), plan.batch.min(count - batch * plan.batch));
        parts.push(Proposals::of_noise(team, subject, &noise.narrow(0, from, to - from)));
    }
    write_proposals(&path, &Proposals::joined(&parts), None, plan.scale, subject)?;
    read_chunk(&path, subject, plan.scale)
}

/// `x` in nm, `log_q`, and `energy` in kJ/mol.
fn write_proposals(
    path: &Path,
    proposals: &Proposals,
    log_weight: Option<&Tensor>,
    scale: f64,
    subject: &Subject,
) -> Result<()> {
    let mut tensors = proposals.tensors(scale, subject.energy.as_ref().map(|energy| energy.kt));
    tensors.extend(log_weight.map(|log_weight| ("log_weight".to_string(), log_weight.shallow_clone())));
    let named: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    write_tensors(path, &named, &units(scale))
}

/// `x` comes back in f64: times the scale it is the file's f32 again, to the bit.
fn read_chunk(path: &Path, subject: &Subject, scale: f64) -> Result<Proposals> {
    let mut tensors = read_tensors(path)?;
    let mut read = |name: &str, shape: &[i64]| -> Result<Tensor> {
        let tensor = take(path, &mut tensors, name)?.to_kind(Kind::Double);
        let (size, file) = (tensor.size(), path.display());
        if size.len() == shape.len() && size.iter().zip(shape).all(|(found, fits)| *fits < 0 || found == fits) {
            return Ok(tensor);
        }
        Err(bad_input!("{file}: tensor '{name}' has shape {size:?}, expected {shape:?}; remove the file"))
    };
    let x = read("x", &[-1, subject.atoms(), 3])?;
    let n = x.size()[0];
    let log_q = read("log_q", &[n])?;
    let energy = subject.energy.as_ref().map(|energy| Ok::<_, anyhow::Error>(read("energy", &[n])? / energy.kt));
    Ok(Proposals { x: x / scale, log_q, energy: energy.transpose()? })
}

/// The weights of all proposals, read chunk by chunk; replaces the figures of those in memory.
fn stream_weights(plan: &SamplePlan, subject: &Subject, report: &mut Report) -> Result<()> {
    let mut reweighter = Reweighter::new(&plan.reweight)?;
    for chunk in 0..plan.chunks() {
        let proposals = read_chunk(&plan.file(chunk), subject, plan.scale)?.first(plan.count(chunk));
        let source = plan.reweight.center.energy(&proposals.x) - &proposals.log_q;
        proposals.energy.as_ref().map_or(Ok(Vec::new()), |energy| reweighter.push(&source, energy))?;
    }
    for (name, value) in weight_figures(&reweighter.finish().summary) {
        if let Some((_, figure)) = report.figures.iter_mut().find(|(known, _)| *known == name) {
            *figure = value;
        }
    }
    Ok(())
}

fn write_all(plan: &SamplePlan, subject: &Subject, proposals: &Proposals, report: &Report) -> Result<()> {
    let out = |name: &str| plan.out.join(name);
    write_proposals(&out("samples.safetensors"), proposals, report.log_weight.as_ref(), plan.scale, subject)?;
    // The resampled set where there are weights: what a viewer should show.
    let some = |count: i64| evenly(plan.models.min(count), count);
    let rows = match &report.resampled {
        Some(rows) => rows.index_select(0, &some(rows.size()[0])),
        None => some(proposals.x.size()[0]),
    };
    let shown = proposals.x.index_select(0, &rows);
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

/// Units of the tensors that are written.
pub(super) fn units(scale: f64) -> BTreeMap<String, String> {
    let note = |name: &str, unit: String| (name.to_string(), unit);
    BTreeMap::from([
        note("x", "nm".into()),
        note("energy", "kJ/mol".into()),
        note("log_q", format!("log-density of x / {scale} nm")),
    ])
}
