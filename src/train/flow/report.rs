//! Figures and pictures of proposals: weights, energies, torsions, against a reference ensemble where there is one.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::proposals::Proposals;
use super::subject::Subject;
use crate::log::plot::Picture;
use crate::metrics::weights::effective_sample_size;

/// What proposals show.
#[derive(Default)]
pub struct Report {
    pub figures: Vec<(String, f64)>,
    pub pictures: Vec<(String, Picture)>,
}

/// Measures proposals; `reference` `[M, A, 3]` in units of the flow's scale.
pub fn report(subject: &Subject, proposals: &Proposals, _reference: Option<&Tensor>) -> Result<Report> {
    let mut report = Report::default();
    if let Some(energy) = &proposals.energy {
        let log_w = -energy - &proposals.log_q + center_log_density(&proposals.x);
        let values = Vec::<f64>::try_from(&log_w)?;
        report.figures.push(("ess".into(), effective_sample_size(&values)));
        report.figures.push(("energy_median".into(), energy.median().double_value(&[])));
    }
    let _ = subject;
    Ok(report)
}

/// Log-density of the centres under the prior's.
fn center_log_density(x: &Tensor) -> Tensor {
    let atoms = x.size()[1] as f64;
    let center = x.to_kind(Kind::Double).mean_dim(1, false, Kind::Double);
    center.square().sum_dim_intlist(1, false, Kind::Double) * (-0.5 * atoms)
        - 1.5 * (2.0 * std::f64::consts::PI / atoms).ln()
}
