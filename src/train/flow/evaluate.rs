//! What a flow is worth: likelihood of frames it has not seen, and weights of its own samples.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::{Augment, DataConfig, FlowTrainConfig};
use super::data::{self, augmented};
use super::proposals::{Proposals, log_q};
use super::reference::{Reference, Slow};
use super::report::{Settings, report};
use super::subject::Subject;
use super::team::FlowTeam;
use crate::flows::{Flow, FlowConfig, Inversion};
use crate::log::plot::Picture;
use crate::samplers::importance::ReweightConfig;
use crate::train::objective::Evaluation;

/// A molecule to measure on, and what it is compared with.
pub struct Measure {
    pub subject: Subject,
    /// None of a training molecule's training frames.
    pub reference: Reference,
}

impl Measure {
    pub fn read(config: &FlowTrainConfig, sequence: &str, flow: &FlowConfig) -> Result<Self> {
        let data = &config.data;
        let subject = data::subject(data, sequence, flow)?;
        let file = data::file_of(&data.frames, sequence);
        let all = data::frames(&file, subject.atoms(), &DataConfig { most_frames: None, ..data.clone() }, Kind::Float)?;
        let trained = data.sequences.iter().any(|trained| trained == sequence);
        let x = if trained { data::kept_back(&all, data.validation).1 } else { all.shallow_clone() };
        let slow = Slow::of(&file, all.size()[0])?;
        slow.check(&file, &subject.topology)?;
        let slow = slow.last(x.size()[0]);
        Ok(Self { reference: Reference::new(&subject, x, slow, data.scale), subject })
    }
}

/// How a flow is measured.
#[derive(Debug, Clone)]
pub struct Scheme {
    /// Proposals of each molecule, and frames they are compared with.
    pub n: i64,
    /// Points a side in distances between distributions.
    pub compared: i64,
    pub chunk: i64,
    pub reweight: ReweightConfig,
    pub augment: Augment,
    /// nm.
    pub scale: f64,
    pub seed: u64,
    pub pictures: bool,
}

impl Scheme {
    pub fn of(config: &FlowTrainConfig, last: bool) -> Self {
        let eval = &config.eval;
        Self {
            n: if last { eval.final_samples } else { eval.samples },
            compared: eval.compared,
            chunk: eval.chunk,
            reweight: eval.reweight.clone(),
            augment: config.augment.clone(),
            scale: config.data.scale,
            seed: config.seed,
            pictures: last,
        }
    }
}

/// Figures of all measured molecules (`eval/<sequence>/…`) and their means (`eval/…`) over those that have them; with
/// pictures, the first one's proposals as tensors too.
pub fn evaluate(team: &mut FlowTeam, measures: &[Measure], scheme: &Scheme) -> Result<Evaluation> {
    let mut evaluation = Evaluation::default();
    let mut sums: Vec<(String, f64, f64)> = Vec::new();
    for measure in measures {
        let subject = &measure.subject.name;
        let found = measure.figures(team, scheme)?;
        let pictures = found.pictures.into_iter();
        evaluation.pictures.extend(pictures.map(|(stem, picture)| (format!("{subject}_{stem}"), picture)));
        if evaluation.tensors.is_empty() {
            evaluation.tensors = found.tensors;
        }
        for (name, value) in found.figures {
            evaluation.scalars.push((format!("eval/{subject}/{name}"), value));
            match sums.iter_mut().find(|(known, ..)| *known == name) {
                Some((_, sum, count)) => (*sum, *count) = (*sum + value, *count + 1.0),
                None => sums.push((name, value, 1.0)),
            }
        }
    }
    let means = sums.into_iter().map(|(name, sum, count)| (format!("eval/{name}"), sum / count));
    evaluation.scalars.extend(means);
    Ok(evaluation)
}

type Named<T> = Vec<(String, T)>;

/// What one molecule shows.
struct Found {
    figures: Named<f64>,
    pictures: Named<Picture>,
    /// Proposals as [`Proposals::tensors`] has them, and `log_weight`; with pictures only.
    tensors: Named<Tensor>,
}

impl Measure {
    fn figures(&self, team: &mut FlowTeam, scheme: &Scheme) -> Result<Found> {
        let frames = self.reference.x.index_select(0, &self.reference.rows(scheme.n));
        let frames = augmented(&frames, &scheme.augment);
        let log_q = log_q(team, &self.subject, &frames, scheme.chunk);
        let dims = 3.0 * self.subject.atoms() as f64;
        let mut figures = vec![("nll".to_string(), -log_q.mean(Kind::Double).double_value(&[]) / dims)];

        let proposals = Proposals::draw(team, &self.subject, scheme.n, scheme.chunk);
        let reweight = scheme.reweight.clone();
        let settings = Settings { reweight, compared: scheme.compared, pictures: scheme.pictures, seed: scheme.seed };
        let report = report(&self.subject, &proposals, Some(&self.reference), scheme.scale, &settings)?;
        figures.extend(report.figures);
        let mut tensors = Vec::new();
        if scheme.pictures {
            figures.extend(inversion_errors(team, &self.subject));
            tensors = proposals.tensors(scheme.scale, self.subject.energy.as_ref().map(|energy| energy.kt));
            tensors.extend(report.log_weight.map(|log_weight| ("log_weight".to_string(), log_weight)));
        }
        Ok(Found { figures, pictures: report.pictures, tensors })
    }
}

/// `z -> x -> z'`: largest and mean `|z - z'|` of 256 draws.
fn inversion_errors(team: &FlowTeam, subject: &Subject) -> Named<f64> {
    let _guard = tch::no_grad_guard();
    let flow = team.first();
    let molecules = flow.prepare(&subject.conditioning.to_device(team.device()));
    let z = Tensor::randn([256, subject.atoms(), 3], (team.params().kind(), team.device()));
    let (x, _) = flow.inverse(&z, &molecules, Inversion::Sequential);
    let errors = (flow.forward(&x, &molecules).0 - z).abs();
    let figure = |name: &str, value: Tensor| (name.to_string(), value.double_value(&[]));
    vec![figure("inversion_max", errors.max()), figure("inversion_mean", errors.mean(Kind::Double))]
}
