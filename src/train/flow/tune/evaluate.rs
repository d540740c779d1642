//! What a flow is worth in the course of its fine-tuning.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::objective::TuneObjective;
use crate::train::flow::config::Augment;
use crate::train::flow::data::augmented;
use crate::train::flow::proposals::{Proposals, log_q};
use crate::train::flow::report::{Settings, report};
use crate::train::objective::Evaluation;

/// Figures of fresh proposals (`eval/…`), against the reference where there is one; samples at the end.
pub fn evaluate(objective: &mut TuneObjective, last: bool) -> Result<Evaluation> {
    let (eval, seed) = (objective.config.eval.clone(), objective.config.seed);
    let scale = objective.config.scale.unwrap_or(1.0);
    let n = if last { eval.final_samples } else { eval.samples };
    let mut figures = Vec::new();
    if let Some(reference) = &objective.reference {
        // Centres as the prior has them, which is how flows are trained on trajectories.
        let frames = augmented(&reference.x.index_select(0, &reference.rows(n)), &Augment::default());
        let log_q = log_q(&mut objective.team, &objective.subject, &frames, eval.chunk);
        let dims = 3.0 * objective.subject.atoms() as f64;
        figures.push(("nll".to_string(), -log_q.mean(Kind::Double).double_value(&[]) / dims));
    }

    let proposals = Proposals::draw(&mut objective.team, &objective.subject, n, eval.chunk);
    let settings = Settings { reweight: eval.reweight.clone(), compared: n.min(eval.compared), pictures: last, seed };
    let report = report(&objective.subject, &proposals, objective.reference.as_ref(), scale, &settings)?;
    figures.extend(report.figures);
    let mut evaluation = Evaluation {
        scalars: figures.into_iter().map(|(name, value)| (format!("eval/{name}"), value)).collect(),
        pictures: report.pictures,
        ..Evaluation::default()
    };
    if last {
        let nm = proposals.x.flatten(1, 2) * scale; // [N, 3 A]
        let mut keep = |name: &str, tensor: Tensor| evaluation.tensors.push((name.to_string(), tensor));
        keep("x", nm);
        keep("log_q", proposals.log_q.shallow_clone());
        proposals.energy.iter().for_each(|energy| keep("energy", energy.shallow_clone()));
        report.log_weight.into_iter().for_each(|log_weight| keep("log_weight", log_weight));
    }
    Ok(evaluation)
}
