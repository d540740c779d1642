//! Energies as importance sampling sees them: a value and a gradient a point.

use std::cell::Cell;

use tch::{Kind, Tensor};

use crate::targets::Target;
use crate::torch::autograd;

/// A reduced energy, `-log` of an unnormalised density.
pub trait Energy {
    /// `[B, D]` -> values `[B]` and gradients `[B, D]`, detached. What is not finite counts as a density of zero.
    fn value_and_gradient(&self, x: &Tensor) -> (Tensor, Tensor);

    /// Values alone.
    fn value(&self, x: &Tensor) -> Tensor {
        self.value_and_gradient(x).0
    }
}

/// Any function of `[B, D]` that gives values and gradients is an energy.
impl<F: Fn(&Tensor) -> (Tensor, Tensor)> Energy for F {
    fn value_and_gradient(&self, x: &Tensor) -> (Tensor, Tensor) {
        self(x)
    }
}

/// The energy of a density in standardised coordinates `x`: `-log_prob(scale x)`, a constant apart.
pub struct TargetEnergy<'a> {
    target: &'a dyn Target,
    scale: f64,
}

impl<'a> TargetEnergy<'a> {
    /// `scale` is the target's unit of length in standardised ones, as 0.35 nm.
    pub fn new(target: &'a dyn Target, scale: f64) -> Self {
        Self { target, scale }
    }
}

impl Energy for TargetEnergy<'_> {
    fn value_and_gradient(&self, x: &Tensor) -> (Tensor, Tensor) {
        autograd::value_and_grad(&x.detach(), |x| self.target.log_prob(&(x * self.scale)).neg())
    }

    fn value(&self, x: &Tensor) -> Tensor {
        tch::no_grad(|| self.target.log_prob(&(x * self.scale)).neg())
    }
}

/// An energy whose points are evaluated a batch at a time, and counted.
pub struct Batched<'a> {
    energy: &'a dyn Energy,
    batch: i64,
    calls: Cell<u64>,
}

impl<'a> Batched<'a> {
    pub fn new(energy: &'a dyn Energy, batch: i64) -> Self {
        Self { energy, batch: batch.max(1), calls: Cell::new(0) }
    }

    /// Points evaluated so far.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// Values `[B]` in f64 and gradients `[B, D]` in the points' kind.
    pub fn evaluate(&self, x: &Tensor) -> (Tensor, Tensor) {
        self.calls.set(self.calls.get() + x.size()[0] as u64);
        let parts = x.split(self.batch, 0).into_iter().map(|part| {
            let (value, gradient) = self.energy.value_and_gradient(&part);
            (value.detach().to_kind(Kind::Double), gradient.detach().to_kind(x.kind()))
        });
        let (values, gradients): (Vec<Tensor>, Vec<Tensor>) = parts.unzip();
        (Tensor::cat(&values, 0), Tensor::cat(&gradients, 0))
    }
}
