//! `flow sample --smc`: the proposals annealed to the molecule's energy.

use anyhow::Result;

use super::anneal::anneal;
use super::comparison::Comparison;
use super::proposals::Proposals;
use super::reference::Reference;
use super::report::Report;
use super::report_pictures;
use super::sample::{COMPARED, SamplePlan, units};
use super::subject::Subject;
use super::team::FlowTeam;
use crate::io::tensors::write_tensors;
use crate::samplers::importance::SmcConfig;
use crate::targets::molecule::chirality::Chirality;

/// What is annealed, how, and what it is compared with.
pub struct Annealing<'a> {
    pub plan: &'a SamplePlan,
    pub config: &'a SmcConfig,
    pub subject: &'a Subject,
    pub reference: Option<&'a Reference>,
}

impl Annealing<'_> {
    /// Writes `smc.safetensors` and adds figures that end in `_smc`, and Ramachandran plots.
    pub fn run(&self, team: &mut FlowTeam, proposals: &Proposals, report: &mut Report) -> Result<()> {
        let (plan, subject) = (self.plan, self.subject);
        let outcome = anneal(team, subject, proposals, self.config, plan.reweight.center, plan.seed)?;
        let x = Chirality::of(&subject.topology).repair(&outcome.x).x;
        let acceptance = outcome.steps.last().map_or(f64::NAN, |step| step.acceptance);
        let figures = [
            ("particles_smc", x.size()[0] as f64),
            ("survivors_smc", outcome.survivors),
            ("acceptance_smc", acceptance),
            ("log_z_smc", outcome.log_z),
            ("target_calls_smc", outcome.target_calls as f64),
            ("energy_median_smc", outcome.target.median().double_value(&[])),
        ];
        report.figures.extend(figures.map(|(name, value)| (name.to_string(), value)));
        if let Some(reference) = self.reference {
            let comparison = Comparison { subject, reference, scale: plan.scale, compared: COMPARED, seed: plan.seed };
            let finite = outcome.target.isfinite().nonzero().squeeze_dim(1);
            report.figures.extend(comparison.figures(&x, Some(&outcome.target), &finite, "smc")?);
        }
        report.pictures.extend(report_pictures::of_set("smc", subject, &x, plan.scale)?);

        let kt = subject.energy.as_ref().map_or(f64::NAN, |energy| energy.kt);
        let (x, energy) = (outcome.x * plan.scale, outcome.target * kt);
        write_tensors(&plan.out.join("smc.safetensors"), &[("x", &x), ("energy", &energy)], &units(plan.scale))
    }
}
