//! The score of a trained denoiser.

use tch::{Device, Kind, Tensor};

use super::{Linearization, ScoreModel};
use crate::nets::Denoiser;
use crate::torch::autograd;

/// A denoiser as a [`ScoreModel`]: times and points of any kind go through the network in its own kind and come back in
/// theirs. Where the network knows classes, row `i` is of class `i mod K`, at every step.
pub struct LearnedScore {
    denoiser: Denoiser,
}

impl LearnedScore {
    pub fn new(denoiser: Denoiser) -> Self {
        Self { denoiser }
    }

    pub fn denoiser(&self) -> &Denoiser {
        &self.denoiser
    }

    /// The class of each of `rows` rows.
    pub fn labels(&self, rows: i64) -> Option<Tensor> {
        let device = self.denoiser.params().device();
        self.denoiser.config().classes.map(|count| row_labels(rows, count, device))
    }
}

/// The classes of rows, `0, 1, …, K - 1, 0, 1, …`, `[rows]` i64.
pub fn row_labels(rows: i64, classes: i64, device: Device) -> Tensor {
    Tensor::arange(rows, (Kind::Int64, device)).remainder(classes)
}

impl ScoreModel for LearnedScore {
    fn dim(&self) -> i64 {
        self.denoiser.dim()
    }

    fn score(&self, t: &Tensor, x: &Tensor) -> Tensor {
        let kind = self.denoiser.params().kind();
        let labels = self.labels(x.size()[0]);
        self.denoiser.score(&t.to_kind(kind), &x.to_kind(kind), labels.as_ref()).to_kind(x.kind())
    }

    /// One forward pass for the score and for all products, each of which is one backward pass to the points alone.
    fn linearize<'a>(&'a self, t: &Tensor, x: &Tensor) -> Linearization<'a> {
        let (own, kind) = (self.denoiser.params().kind(), x.kind());
        let labels = self.labels(x.size()[0]);
        let x = x.detach().to_kind(own).set_requires_grad(true);
        let score = tch::with_grad(|| self.denoiser.score(&t.to_kind(own), &x, labels.as_ref()));
        let detached = score.detach().to_kind(kind);
        let product = move |v: &Tensor| {
            let pulled = tch::with_grad(|| autograd::vjp_again(&score, &x, &v.to_kind(own)));
            pulled.to_kind(kind)
        };
        Linearization { score: detached, product: Box::new(product) }
    }
}
