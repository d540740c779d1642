//! What a flow is worth: likelihood of frames it has not seen, and weights of its own samples.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::FlowTrainConfig;
use super::data::{self, augmented};
use super::objective::FlowObjective;
use super::proposals::{Proposals, log_q};
use super::report;
use super::subject::Subject;
use crate::flows::FlowConfig;
use crate::train::objective::Evaluation;

/// A molecule to measure on, and frames to compare with.
pub struct Measure {
    pub subject: Subject,
    /// Centred frames in units of the scale, `[M, A, 3]`; none of a training molecule's training frames.
    pub reference: Tensor,
}

impl Measure {
    pub fn read(config: &FlowTrainConfig, sequence: &str, flow: &FlowConfig) -> Result<Self> {
        let data = &config.data;
        let subject = data::subject(data, sequence, flow)?;
        let mut reference = data::frames(&data::file_of(&data.frames, sequence), subject.atoms(), data, Kind::Float)?;
        if data.sequences.iter().any(|trained| trained == sequence) {
            reference = data::kept_back(&reference, data.validation).1;
        }
        Ok(Self { subject, reference })
    }
}

/// Figures of all measured molecules (`eval/<sequence>/…`) and their means (`eval/…`).
pub fn evaluate(objective: &mut FlowObjective, last: bool) -> Result<Evaluation> {
    let mut evaluation = Evaluation::default();
    let mut sums: Vec<(String, f64)> = Vec::new();
    let count = objective.measures.len() as f64;
    for index in 0..objective.measures.len() {
        let figures = measure(objective, index, last, &mut evaluation)?;
        for (name, value) in figures {
            evaluation.scalars.push((format!("eval/{}/{name}", objective.measures[index].subject.name), value));
            match sums.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += value / count,
                None => sums.push((name, value / count)),
            }
        }
    }
    evaluation.scalars.extend(sums.into_iter().map(|(name, mean)| (format!("eval/{name}"), mean)));
    Ok(evaluation)
}

fn measure(
    objective: &mut FlowObjective,
    index: usize,
    last: bool,
    evaluation: &mut Evaluation,
) -> Result<Vec<(String, f64)>> {
    let eval = objective.config.eval.clone();
    let n = if last { eval.final_samples } else { eval.samples };
    let measure = &objective.measures[index];
    let mut figures = Vec::new();
    let count = n.min(measure.reference.size()[0]);
    if count > 0 {
        let frames = augmented(&thinned(&measure.reference, count), &objective.config.augment);
        let log_q = log_q(&mut objective.team, &measure.subject, &frames, eval.chunk);
        let dims = 3.0 * measure.subject.atoms() as f64;
        figures.push(("nll".to_string(), -log_q.mean(Kind::Double).double_value(&[]) / dims));
    }
    let proposals = Proposals::draw(&mut objective.team, &measure.subject, n, eval.chunk);
    let report = report::report(&measure.subject, &proposals, (count > 0).then_some(&measure.reference))?;
    figures.extend(report.figures);
    if last {
        let name = &measure.subject.name;
        evaluation
            .pictures
            .extend(report.pictures.into_iter().map(|(stem, picture)| (format!("{name}_{stem}"), picture)));
    }
    Ok(figures)
}

/// `count` rows spread evenly.
pub fn thinned(x: &Tensor, count: i64) -> Tensor {
    let rows = Tensor::arange(count, (Kind::Int64, x.device())) * x.size()[0];
    x.index_select(0, &rows.floor_divide_scalar(count))
}
