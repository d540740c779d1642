//! What a round learns from: proposals of the present flow, drawn again by their weights.

use anyhow::{Context, Result, bail};
use tch::{Device, Kind, Tensor};

use super::config::FlowTuneConfig;
use crate::bad_input;
use crate::samplers::importance::Reweighter;
use crate::targets::molecule::chirality::Chirality;
use crate::targets::molecule::geometry::centred;
use crate::train::flow::proposals::Proposals;
use crate::train::flow::subject::Subject;
use crate::train::flow::team::FlowTeam;

/// Names of what is measured as a buffer is filled, in the order of [`Buffer::figures`].
pub const FIGURES: [&str; 4] = ["train/buffer_ess", "train/buffer_distinct", "train/non_finite", "train/wrong_hand"];

/// Equally weighted frames.
#[derive(Debug)]
pub struct Buffer {
    /// The round that they belong to, from 0.
    pub round: u64,
    /// Centred, in units of the flow's scale, `[M, A, 3]`.
    pub x: Tensor,
    /// Normalised ESS of the proposals kept; different ones among the frames, as a share of the proposals; proposals of
    /// weight zero for their energy, and for their hand.
    pub figures: [f64; 4],
}

impl Buffer {
    /// Draws `config.proposals` proposals and as many frames as its filter keeps. Draws from libtorch's generator.
    ///
    /// A conformation of the wrong hand has a weight of zero: the molecule is the one named, not its mirror image,
    /// though their energies are equal.
    pub fn fill(team: &mut FlowTeam, subject: &Subject, config: &FlowTuneConfig, round: u64) -> Result<Self> {
        let proposals = Proposals::draw(team, subject, config.proposals, config.chunk);
        let Some(energy) = &proposals.energy else { bail!("{}: has no energy", subject.name) };
        let wrong = wrong_hand(subject, &proposals.x);
        let non_finite = count(&energy.isfinite().logical_not());

        let mut reweighter = Reweighter::new(&config.reweight)?;
        let source = config.reweight.center.energy(&proposals.x.to_kind(Kind::Double)) - &proposals.log_q;
        reweighter.push(&source, &energy.masked_fill(&wrong, f64::INFINITY))?;
        let weights = reweighter.finish();
        let how = config.reweight.resampling;
        let uniforms = Tensor::rand([how.uniforms(weights.kept.len()) as i64], (Kind::Double, Device::Cpu));
        let drawn = weights.resample(how, &Vec::<f64>::try_from(uniforms)?);
        let wrong_hand = count(&wrong);
        let rows = drawn.filter(|rows| !rows.is_empty()).ok_or_else(|| {
            bad_input!(
                "{}: none of {} proposals has a positive weight ({non_finite} without a finite energy, {wrong_hand} of \
                 the wrong hand, {} above the cut-off); expected a flow that knows the molecule, or more 'proposals'",
                subject.name,
                config.proposals,
                weights.summary.above_cutoff
            )
        })?;

        let rows: Vec<i64> = rows.into_iter().map(|row| row as i64).collect();
        let share = distinct(&rows) as f64 / config.proposals as f64;
        let figures = [weights.summary.ess, share, non_finite as f64, wrong_hand as f64];
        Ok(Self { round, x: centered(&proposals.x.index_select(0, &Tensor::from_slice(&rows))), figures })
    }

    /// Random frames, with replacement.
    pub fn pick(&self, batch: i64) -> Tensor {
        self.x.index_select(0, &Tensor::randint(self.x.size()[0], [batch], (Kind::Int64, Device::Cpu)))
    }

    /// Everything, under names for a checkpoint.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        vec![
            ("buffer.x".into(), self.x.shallow_clone()),
            ("buffer.round".into(), Tensor::from_slice(&[self.round as i64])),
            ("buffer.figures".into(), Tensor::from_slice(&self.figures)),
        ]
    }

    /// The buffer that [`named`](Self::named) wrote for a molecule of `atoms`; `None` where there was none.
    pub fn restored(named: &[(String, Tensor)], atoms: i64) -> Result<Option<Self>> {
        let find = |key: &str| named.iter().find(|(name, _)| name == key).map(|(_, t)| t);
        let Some(x) = find("buffer.x") else { return Ok(None) };
        let size = x.size();
        if !matches!(size.as_slice(), [rows, a, 3] if *rows > 0 && *a == atoms) {
            return Err(bad_input!("tensor 'buffer.x' has shape {size:?}, expected [frames, {atoms}, 3]"));
        }
        let numbers = |key: &str| {
            let tensor = find(key).with_context(|| format!("no tensor '{key}'"))?;
            Ok::<_, anyhow::Error>(Vec::<f64>::try_from(tensor.to_kind(Kind::Double))?)
        };
        let round = *numbers("buffer.round")?.first().context("tensor 'buffer.round' is empty")? as u64;
        let figures = numbers("buffer.figures")?.try_into();
        let figures = figures.map_err(|_| bad_input!("tensor 'buffer.figures' does not hold {}", FIGURES.len()))?;
        Ok(Some(Self { round, x: x.shallow_clone(), figures }))
    }
}

/// Which proposals differ from the molecule in a stereocentre, `[N]` bool.
fn wrong_hand(subject: &Subject, x: &Tensor) -> Tensor {
    let chirality = Chirality::of(&subject.topology);
    if chirality.centres().is_empty() {
        return Tensor::zeros([x.size()[0]], (Kind::Bool, x.device()));
    }
    chirality.changed(x)
}

/// Frames `[M, A, 3]` about the origin.
fn centered(x: &Tensor) -> Tensor {
    let atoms = vec![1.0; x.size()[1] as usize];
    centred(&x.flatten(1, 2), &atoms).view(x.size().as_slice())
}

fn count(rows: &Tensor) -> i64 {
    rows.sum(Kind::Int64).int64_value(&[])
}

fn distinct(rows: &[i64]) -> usize {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.dedup();
    rows.len()
}
