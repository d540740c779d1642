//! What a flow is worth: likelihood of frames it has not seen, and weights of its own samples.

use anyhow::Result;
use tch::Kind;

use super::config::{DataConfig, FlowTrainConfig};
use super::data::{self, augmented};
use super::objective::FlowObjective;
use super::proposals::{Proposals, log_q};
use super::reference::Reference;
use super::report::{Settings, report};
use super::subject::Subject;
use crate::flows::FlowConfig;
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
        let first = all.size()[0] - x.size()[0];
        let chain = Reference::chains(&file, all.size()[0])?.map(|chain| chain.narrow(0, first, x.size()[0]));
        Ok(Self { reference: Reference::new(&subject, x, chain.as_ref(), data.scale), subject })
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
    let (scale, seed) = (objective.config.data.scale, objective.config.seed);
    let measure = &objective.measures[index];
    let frames = measure.reference.x.index_select(0, &measure.reference.rows(n));
    let frames = augmented(&frames, &objective.config.augment);
    let log_q = log_q(&mut objective.team, &measure.subject, &frames, eval.chunk);
    let dims = 3.0 * measure.subject.atoms() as f64;
    let mut figures = vec![("nll".to_string(), -log_q.mean(Kind::Double).double_value(&[]) / dims)];

    let proposals = Proposals::draw(&mut objective.team, &measure.subject, n, eval.chunk);
    let settings = Settings { reweight: eval.reweight.clone(), compared: n, pictures: last, seed };
    let report = report(&measure.subject, &proposals, Some(&measure.reference), scale, &settings)?;
    figures.extend(report.figures);
    let name = &measure.subject.name;
    evaluation.pictures.extend(report.pictures.into_iter().map(|(stem, picture)| (format!("{name}_{stem}"), picture)));
    Ok(figures)
}
