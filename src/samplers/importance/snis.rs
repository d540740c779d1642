//! Self-normalised importance sampling: log-weights of proposals, filtered and summed.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::center::CenterAdjustment;
use super::filter::{Rule, WeightFilter};
use super::resample::Resampling;
use super::sums::WeightSums;
use crate::config::check;

/// The `reweight:` section.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReweightConfig {
    /// What is done about the largest weights.
    pub filter: WeightFilter,
    /// Proposals of this target energy (kT) or more are left out.
    pub energy_cutoff: Option<f64>,
    pub ess: EssConfig,
    pub center: CenterAdjustment,
    pub resampling: Resampling,
}

/// The `ess:` section: over which weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EssConfig {
    /// Only the first so many of the kept weights (PROSE's tables: 10,000); all where left out.
    pub first: Option<usize>,
}

impl ReweightConfig {
    pub fn validate(&self) -> Result<()> {
        self.validate_at("reweight")
    }

    /// The same for a section that stands under another dotted key.
    pub fn validate_at(&self, key: &str) -> Result<()> {
        self.filter.validate(&format!("{key}.filter"))?;
        self.energy_cutoff.map_or(Ok(()), |cutoff| check::finite(&format!("{key}.energy_cutoff"), cutoff))?;
        self.ess.first.map_or(Ok(()), |first| check::at_least(&format!("{key}.ess.first"), first, 1))
    }
}

/// What importance weights came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WeightSummary {
    pub proposals: usize,
    /// Proposals with an energy that is not a finite number: their weight is zero.
    pub non_finite: usize,
    /// Proposals left out for their energy, and for their weight.
    pub above_cutoff: usize,
    pub filtered: usize,
    pub kept: usize,
    /// Over the kept weights (or the first of them), as a share of their number.
    pub ess: f64,
    /// `log` of the mean of all weights, before any filter: an estimate of the target's log Z.
    pub log_z: f64,
    /// The largest kept weight's share of their sum.
    pub largest_share: f64,
}

/// Proposals as they come: keeps a log-weight each, eight bytes, and what cannot be recovered from it.
pub struct Reweighter {
    config: ReweightConfig,
    /// `-∞` where an energy was not finite, NaN where the target's is above the cut-off.
    log_weights: Vec<f64>,
    all: WeightSums,
    non_finite: usize,
    above_cutoff: usize,
}

/// Filtered log-weights.
pub struct Weights {
    pub summary: WeightSummary,
    /// For a second pass over stored proposals.
    pub rule: Rule,
    /// Numbers of the kept proposals, in order.
    pub kept: Vec<usize>,
    /// Their log-weights.
    pub log_weights: Vec<f64>,
}

impl Reweighter {
    pub fn new(config: &ReweightConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config: config.clone(),
            log_weights: Vec::new(),
            all: WeightSums::default(),
            non_finite: 0,
            above_cutoff: 0,
        })
    }

    /// Adds a batch by its source energies (`-log q`, with the centre's term) and target energies, `[B]` each; returns
    /// their log-weights.
    pub fn push(&mut self, source: &Tensor, target: &Tensor) -> Result<Vec<f64>> {
        let (source, target) = (values(source)?, values(target)?);
        ensure!(source.len() == target.len(), "{} source and {} target energies", source.len(), target.len());
        let mut batch = Vec::with_capacity(source.len());
        for (source, target) in source.into_iter().zip(target) {
            let finite = source.is_finite() && target.is_finite();
            let log_weight = if finite { source - target } else { f64::NEG_INFINITY };
            self.non_finite += usize::from(!finite);
            self.all.push(log_weight);
            let above = finite && self.config.energy_cutoff.is_some_and(|cutoff| target >= cutoff);
            self.above_cutoff += usize::from(above);
            self.log_weights.push(if above { f64::NAN } else { log_weight });
            batch.push(log_weight);
        }
        Ok(batch)
    }

    /// The second pass: the filter's threshold is that of all weights.
    pub fn finish(self) -> Weights {
        let index: Vec<usize> = (0..self.log_weights.len()).filter(|i| !self.log_weights[*i].is_nan()).collect();
        let below: Vec<f64> = index.iter().map(|i| self.log_weights[*i]).collect();
        let rule = self.config.filter.rule(&below);
        let (kept, log_weights) = rule.apply(&below);
        let first = self.config.ess.first.unwrap_or(usize::MAX).min(kept.len());
        let sums = WeightSums::of(&log_weights);
        let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let summary = WeightSummary {
            proposals: self.all.count,
            non_finite: self.non_finite,
            above_cutoff: self.above_cutoff,
            filtered: below.len() - kept.len(),
            kept: kept.len(),
            ess: WeightSums::of(&log_weights[..first]).normalised_ess(),
            log_z: self.all.log_mean(),
            largest_share: (largest - sums.log_sum()).exp(),
        };
        let kept = kept.into_iter().map(|i| index[i]).collect();
        Weights { summary, rule, kept, log_weights }
    }
}

impl Weights {
    /// As many proposals as were kept, drawn by their weights: their numbers. `uniforms` as in [`Resampling::draw`].
    pub fn resample(&self, how: Resampling, uniforms: &[f64]) -> Option<Vec<usize>> {
        let drawn = how.draw(&self.log_weights, self.kept.len(), uniforms)?;
        Some(drawn.into_iter().map(|i| self.kept[i as usize]).collect())
    }

    /// Normalised weights of the kept proposals; all zero where none is positive.
    pub fn normalised(&self) -> Vec<f64> {
        let total = WeightSums::of(&self.log_weights).log_sum();
        let weight = |l: &f64| if total.is_finite() { (l - total).exp() } else { 0.0 };
        self.log_weights.iter().map(weight).collect()
    }
}

/// A tensor's numbers in f64.
pub(super) fn values(t: &Tensor) -> Result<Vec<f64>> {
    Ok(Vec::try_from(t.detach().to_device(Device::Cpu).to_kind(Kind::Double).flatten(0, -1))?)
}
