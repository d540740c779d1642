//! Optimisers over named tensors whose state can be saved and restored: libtorch's cannot be read from Rust.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::adam;
use crate::bad_input;

/// The update rule. Defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Kingma and Ba (2015); weight decay enters through the gradient.
    Adam(Moments),
    /// Loshchilov and Hutter (2019): decay acts on the weights, not through the moments.
    #[serde(rename = "adamw")]
    AdamW(Moments),
    /// Liu et al. (2020): Adam whose adaptive term is switched on and scaled by its estimated variance.
    #[serde(rename = "radam")]
    RAdam(Moments),
    Sgd(Momentum),
}

/// Decay rates of the moment estimates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Moments {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// Heavy-ball momentum as PyTorch's SGD has it (no dampening).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Momentum {
    pub momentum: f64,
    pub weight_decay: f64,
}

impl Rule {
    /// Checks the constants as they stand in YAML under `train.optimizer`.
    pub fn validate(&self) -> Result<()> {
        let (rates, decay) = match self {
            Rule::Adam(c) | Rule::AdamW(c) | Rule::RAdam(c) => {
                if !(c.eps.is_finite() && c.eps > 0.0) {
                    return Err(bad_input!(
                        "'train.optimizer.eps' is out of range: found {}, expected a positive number",
                        c.eps
                    ));
                }
                (vec![("beta1", c.beta1), ("beta2", c.beta2)], c.weight_decay)
            }
            Rule::Sgd(c) => (vec![("momentum", c.momentum)], c.weight_decay),
        };
        for (key, rate) in rates {
            if !(0.0..1.0).contains(&rate) {
                return Err(bad_input!(
                    "'train.optimizer.{key}' is out of range: found {rate}, expected at least 0 and less than 1"
                ));
            }
        }
        if !(decay.is_finite() && decay >= 0.0) {
            return Err(bad_input!(
                "'train.optimizer.weight_decay' is out of range: found {decay}, expected 0 or a positive number"
            ));
        }
        Ok(())
    }
}

/// Parameters that share a learning rate and a gradient norm.
pub struct Group {
    pub name: String,
    pub learning_rate: f64,
    pub params: Vec<(String, Tensor)>,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Norm of all gradients before clipping; not finite if the step was skipped for that.
    pub grad_norm: f64,
    pub skipped: bool,
}

/// An update rule with its state.
pub struct Optimizer {
    rule: Rule,
    groups: Vec<Group>,
    /// First moment (or momentum) and second moment, a pair for each parameter in group order.
    moments: Vec<(Tensor, Tensor)>,
    steps: i64,
}

impl Optimizer {
    pub fn new(rule: Rule, groups: Vec<Group>) -> Self {
        let params = groups.iter().flat_map(|group| &group.params);
        let moments = params.map(|(_, p)| (p.detach().zeros_like(), p.detach().zeros_like())).collect();
        Self { rule, groups, moments, steps: 0 }
    }

    /// Number of steps taken, skipped ones not counted.
    pub fn steps(&self) -> i64 {
        self.steps
    }

    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub fn zero_grad(&mut self) {
        for (_, p) in self.groups.iter_mut().flat_map(|group| &mut group.params) {
            let mut grad = p.grad();
            if grad.defined() {
                let _ = grad.detach_().zero_();
            }
        }
    }

    /// One update from the accumulated gradients: each group is clipped to global norm `clip`, rates are multiplied by
    /// `rate_factor`. A non-finite gradient anywhere leaves parameters and state untouched.
    pub fn step(&mut self, rate_factor: f64, clip: Option<f64>) -> StepReport {
        let _guard = tch::no_grad_guard();
        let norms: Vec<f64> = self.groups.iter().map(group_norm).collect();
        let grad_norm = norms.iter().map(|n| n * n).sum::<f64>().sqrt();
        if !grad_norm.is_finite() {
            return StepReport { grad_norm, skipped: true };
        }
        self.steps += 1;
        let mut moments = self.moments.iter_mut();
        for (group, norm) in self.groups.iter_mut().zip(norms) {
            let scale = clip.map_or(1.0, |limit| if norm > limit { limit / norm } else { 1.0 });
            let rate = group.learning_rate * rate_factor;
            for ((_, p), state) in group.params.iter_mut().zip(moments.by_ref()) {
                let grad = p.grad();
                if grad.defined() {
                    let grad = if scale == 1.0 { grad } else { grad * scale };
                    update(self.rule, p, &grad, state, rate, self.steps);
                }
            }
        }
        StepReport { grad_norm, skipped: false }
    }

    /// [`step`](Self::step), skipped if the loss was not finite.
    pub fn step_if(&mut self, finite: bool, rate_factor: f64, clip: Option<f64>) -> StepReport {
        if finite { self.step(rate_factor, clip) } else { StepReport { grad_norm: f64::NAN, skipped: true } }
    }

    /// The state as named tensors: `m.NAME`, `v.NAME` and `steps`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let names = self.groups.iter().flat_map(|group| group.params.iter().map(|(name, _)| name));
        let mut state = vec![("steps".to_string(), Tensor::from_slice(&[self.steps]))];
        for (name, (m, v)) in names.zip(&self.moments) {
            state.push((format!("m.{name}"), m.shallow_clone()));
            state.push((format!("v.{name}"), v.shallow_clone()));
        }
        state
    }

    /// Restores what [`state`](Self::state) gave. Every tensor must be there with its shape.
    pub fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let find = |name: &str| {
            let found = state.iter().find(|(n, _)| n == name).map(|(_, t)| t);
            found.ok_or_else(|| bad_input!("optimizer state: tensor '{name}' is missing"))
        };
        let names = self.groups.iter().flat_map(|group| group.params.iter().map(|(name, _)| name));
        for (name, (m, v)) in names.zip(&mut self.moments) {
            for (prefix, own) in [("m", m), ("v", v)] {
                let saved = find(&format!("{prefix}.{name}"))?;
                if saved.size() != own.size() {
                    let (found, expected) = (saved.size(), own.size());
                    return Err(bad_input!(
                        "optimizer state: '{prefix}.{name}' has shape {found:?}, expected {expected:?}"
                    ));
                }
                own.copy_(saved);
            }
        }
        self.steps = find("steps")?.int64_value(&[0]);
        Ok(())
    }
}

fn group_norm(group: &Group) -> f64 {
    let grads: Vec<Tensor> = group.params.iter().map(|(_, p)| p.grad()).filter(|g| g.defined()).collect();
    let plain: Option<Vec<f64>> = grads.iter().map(adam::square_sum).collect();
    if let Some(sums) = plain {
        return sums.iter().sum::<f64>().sqrt();
    }
    let norms: Vec<Tensor> = grads.iter().map(|g| g.norm().to_kind(Kind::Double)).collect();
    Tensor::stack(&norms, 0).norm().double_value(&[])
}

fn update(rule: Rule, p: &mut Tensor, grad: &Tensor, state: &mut (Tensor, Tensor), rate: f64, t: i64) {
    match rule {
        Rule::Adam(c) => {
            let grad = decayed(grad, p, c.weight_decay);
            adaptive(c, p, &grad, state, rate, t);
        }
        Rule::AdamW(c) => {
            shrink(p, rate * c.weight_decay);
            adaptive(c, p, grad, state, rate, t);
        }
        Rule::RAdam(c) => {
            let grad = decayed(grad, p, c.weight_decay);
            rectified(c, p, &grad, state, rate, t);
        }
        Rule::Sgd(c) => {
            let grad = decayed(grad, p, c.weight_decay);
            let m = &mut state.0;
            *m *= c.momentum;
            *m += &grad;
            *p -= &*m * rate;
        }
    }
}

fn decayed(grad: &Tensor, p: &Tensor, decay: f64) -> Tensor {
    if decay == 0.0 { grad.shallow_clone() } else { grad + p.detach() * decay }
}

fn shrink(p: &mut Tensor, amount: f64) {
    if amount != 0.0 {
        *p *= 1.0 - amount;
    }
}

fn track(c: Moments, grad: &Tensor, (m, v): &mut (Tensor, Tensor)) {
    let _ = m.lerp_(grad, 1.0 - c.beta1);
    *v *= c.beta2;
    *v += grad.square() * (1.0 - c.beta2);
}

/// Adam's step (Kingma and Ba, algorithm 1).
fn adaptive(c: Moments, p: &mut Tensor, grad: &Tensor, state: &mut (Tensor, Tensor), rate: f64, t: i64) {
    let (bias1, bias2) = (1.0 - c.beta1.powf(t as f64), 1.0 - c.beta2.powf(t as f64));
    let (rate, root_bias2) = (rate / bias1, bias2.sqrt());
    let step = adam::Step { beta1: c.beta1, beta2: c.beta2, eps: c.eps, rate, root_bias2 };
    if adam::step(step, p, grad, &state.0, &state.1) {
        return;
    }
    track(c, grad, state);
    let denominator = state.1.sqrt() / root_bias2 + c.eps;
    *p -= &state.0 / denominator * rate;
}

/// RAdam's step (Liu et al., algorithm 2): plain momentum until the variance of the adaptive rate is tractable.
fn rectified(c: Moments, p: &mut Tensor, grad: &Tensor, state: &mut (Tensor, Tensor), rate: f64, t: i64) {
    track(c, grad, state);
    let power = c.beta2.powf(t as f64);
    let (bias1, bias2) = (1.0 - c.beta1.powf(t as f64), 1.0 - power);
    let rho_inf = 2.0 / (1.0 - c.beta2) - 1.0;
    let rho = rho_inf - 2.0 * t as f64 * power / bias2;
    if rho <= 5.0 {
        *p -= &state.0 * (rate / bias1);
        return;
    }
    let variance = (rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho);
    let denominator = state.1.sqrt() + c.eps;
    *p -= &state.0 / denominator * (rate / bias1 * variance.sqrt() * bias2.sqrt());
}
