//! One step of annealed Langevin dynamics: the weights follow the bridge, then the particles move under it.

use tch::{Kind, Tensor};

use super::super::energy::Batched;
use super::config::Kernel;

/// The bridge `E_t = (1 - t) E_source + t E_target`.
pub struct Bridge<'a> {
    pub source: Batched<'a>,
    pub target: Batched<'a>,
}

/// Particles with their energies. A particle without finite energies has weight zero and stays where it is.
pub struct Particles {
    /// `[N, D]`.
    pub x: Tensor,
    /// `[N]` f64.
    pub log_weight: Tensor,
    pub source: Tensor,
    pub target: Tensor,
    source_gradient: Tensor,
    target_gradient: Tensor,
}

/// What a step tells besides the particles.
pub struct Info {
    /// Share of the moves accepted.
    pub acceptance: f64,
    /// Proposals whose energies were not finite.
    pub non_finite: i64,
}

impl Bridge<'_> {
    /// Particles at `x` `[N, D]` with log-weights `[N]`; those without finite energies get `-∞`.
    pub fn particles(&self, x: &Tensor, log_weight: &Tensor) -> Particles {
        let (source, source_gradient) = self.source.evaluate(x);
        let (target, target_gradient) = self.target.evaluate(x);
        let log_weight = log_weight.to_kind(Kind::Double);
        let mut made = Particles { x: x.copy(), log_weight, source, target, source_gradient, target_gradient };
        let dead = made.alive().logical_not();
        made.log_weight = made.log_weight.masked_fill(&dead, f64::NEG_INFINITY);
        made
    }

    /// Weights move on by `dt` to the bridge at `t`, then particles by a Langevin step `h = step_size dt` under it.
    ///
    /// `noise` `[N, D]` standard normal; `uniforms` `[N]` f64, which only MALA uses.
    pub fn step(
        &self,
        old: &Particles,
        kernel: Kernel,
        at: Time,
        noise: &Tensor,
        uniforms: &Tensor,
    ) -> (Particles, Info) {
        let h = at.step_size * at.dt;
        let was_alive = old.alive();
        let increment = ((&old.target - &old.source) * -at.dt).masked_fill(&was_alive.logical_not(), f64::NEG_INFINITY);
        let log_weight = &old.log_weight + increment;

        let x = &old.x - old.gradient(at.t) * h + noise * (2.0 * h).sqrt();
        let x = old.x.where_self(&was_alive.logical_not().unsqueeze(1), &x);
        let new = self.particles(&x, &log_weight);
        let non_finite = (was_alive.logical_and(&new.alive().logical_not())).sum(Kind::Int64).int64_value(&[]);
        match kernel {
            // A move to nowhere cannot be taken back: the particle's weight is zero from here on.
            Kernel::Ula => (new, Info { acceptance: 1.0, non_finite }),
            Kernel::Mala => {
                let accepted = accept(old, &new, at.t, h).gt_tensor(&uniforms.log()).logical_and(&new.alive());
                let acceptance = accepted.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
                (old.replaced(&new, &accepted, log_weight), Info { acceptance, non_finite })
            }
        }
    }
}

/// Where on the bridge a step ends.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    pub t: f64,
    pub dt: f64,
    /// Langevin step per unit of `t`.
    pub step_size: f64,
}

/// Log of the Metropolis-Hastings ratio of Langevin proposals (Roberts and Tweedie, Bernoulli 2 (1996) 341), `[N]`;
/// NaN, which accepts nothing, for `h = 0`.
fn accept(old: &Particles, new: &Particles, t: f64, h: f64) -> Tensor {
    let kernel = |to: &Particles, from: &Particles| {
        let miss = &to.x - &from.x + from.gradient(t) * h;
        miss.to_kind(Kind::Double).square().sum_dim_intlist(-1, false, Kind::Double) / (-4.0 * h)
    };
    old.energy(t) - new.energy(t) + kernel(old, new) - kernel(new, old)
}

impl Particles {
    /// Energy on the bridge, `[N]` f64.
    fn energy(&self, t: f64) -> Tensor {
        &self.source * (1.0 - t) + &self.target * t
    }

    fn gradient(&self, t: f64) -> Tensor {
        &self.source_gradient * (1.0 - t) + &self.target_gradient * t
    }

    /// Whether energies and gradients are finite, `[N]`.
    pub fn alive(&self) -> Tensor {
        let row = |gradient: &Tensor| gradient.isfinite().all_dim(1, false);
        let gradients = row(&self.source_gradient).logical_and(&row(&self.target_gradient));
        self.source.isfinite().logical_and(&self.target.isfinite()).logical_and(&gradients)
    }

    /// These particles, with the new one wherever it was accepted.
    fn replaced(&self, new: &Self, accepted: &Tensor, log_weight: Tensor) -> Self {
        let pick = |new: &Tensor, old: &Tensor| {
            let accepted = if new.dim() == 2 { accepted.unsqueeze(1) } else { accepted.shallow_clone() };
            new.where_self(&accepted, old)
        };
        Self {
            x: pick(&new.x, &self.x),
            log_weight,
            source: pick(&new.source, &self.source),
            target: pick(&new.target, &self.target),
            source_gradient: pick(&new.source_gradient, &self.source_gradient),
            target_gradient: pick(&new.target_gradient, &self.target_gradient),
        }
    }

    /// Some of them, with these log-weights.
    pub fn select(&self, index: &Tensor, log_weight: Tensor) -> Self {
        let pick = |t: &Tensor| t.index_select(0, index);
        Self {
            x: pick(&self.x),
            log_weight,
            source: pick(&self.source),
            target: pick(&self.target),
            source_gradient: pick(&self.source_gradient),
            target_gradient: pick(&self.target_gradient),
        }
    }
}
