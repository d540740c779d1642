//! The law of the samples without sampling, for Gaussian data: its mean and covariance, exact for every integrator.
//!
//! Under a linear score a step is affine in state and noise once the uniform `U` is given, coordinate by coordinate
//! where the data's are independent. So a step at the origin and at unit vectors tells its coefficients, and moments go
//! through them exactly. Integrators that share `U` among coordinates make laws that are mixtures over `U`: the mean and
//! covariance stay exact (40 Gauss-Legendre nodes), coordinates with means become correlated, and the law is no Gaussian.

use tch::{Kind, Tensor};

use super::models::GaussianScore;
use super::quadrature::gauss_legendre;
use super::time_grid::sigma;
use super::{Draws, Integrator, Memory, ScoreModel, State, Step, TimeGrid};

const NODES: usize = 40;

/// Mean `[D]` and covariance `[D, D]`.
#[derive(Debug)]
pub struct Law {
    pub mean: Tensor,
    pub covariance: Tensor,
}

/// The prior of samplers, `N(0, (1 - e^{-T}) I)`.
pub fn prior_law(model: &GaussianScore, horizon: f64) -> Law {
    Law { mean: model.mean.zeros_like(), covariance: model.mean.ones_like().diag(0) * sigma(horizon).powi(2) }
}

/// The noised data at time `t`.
pub fn noised_law(model: &GaussianScore, t: f64) -> Law {
    let (mean, variance) = model.noised(&super::models::at(t, &model.mean));
    Law { mean: mean.squeeze_dim(0), covariance: variance.squeeze_dim(0).diag(0) }
}

/// Moments of the state at the end of the grid, f64.
pub fn propagate(model: &GaussianScore, integrator: &dyn Integrator, grid: &TimeGrid, start: Law) -> Law {
    let _no_grad = tch::no_grad_guard();
    let nodes = Nodes::new(integrator, &model.mean);
    let mut moments = Moments::new(start);
    let mut before = None;
    for step in grid.steps() {
        let map = StepMap::probe(model, integrator, step, before, &nodes);
        before = map.remembers.then_some(step.from);
        moments = moments.through(&map, &nodes.weights);
    }
    moments.law()
}

/// Values of `U` with their weights; one of no meaning where the integrator draws none.
struct Nodes {
    u: Vec<f64>,
    weights: Tensor, // [Q]
}

impl Nodes {
    fn new(integrator: &dyn Integrator, like: &Tensor) -> Self {
        let (u, weights) = if integrator.randomness().uniform { gauss_legendre(NODES) } else { (vec![0.5], vec![1.0]) };
        Self { u, weights: Tensor::from_slice(&weights).to_device(like.device()) }
    }
}

/// A step as an affine map of the parts of the state (x, and what is remembered) and of the noises, for each node.
struct StepMap {
    offset: Tensor, // [Q, A, D]
    state: Tensor,  // [Q, S, A, D], from part s to part a
    noise: Tensor,  // [Q, R, A, D]
    remembers: bool,
}

impl StepMap {
    /// One call of the step: at the origin, then with a one in each part of the state and each noise.
    fn probe(
        model: &GaussianScore,
        integrator: &dyn Integrator,
        step: Step,
        remembered: Option<f64>,
        nodes: &Nodes,
    ) -> Self {
        let (dim, q) = (model.dim(), nodes.u.len() as i64);
        let normals = integrator.randomness().normals as i64;
        let parts = 1 + i64::from(remembered.is_some());
        let probes = 1 + parts + normals;
        let options = (Kind::Double, model.mean.device());
        let unit = |place: i64| {
            let rows = Tensor::zeros([q, probes, dim], options);
            let _ = rows.select(1, place).fill_(1.0);
            rows.view([q * probes, dim])
        };
        // A noise that is not drawn is not read, whatever place it gets.
        let place = |noise: i64| (1 + parts + noise).min(probes - 1);
        let u = Tensor::from_slice(&nodes.u).to_device(options.1).view([q, 1, 1]).expand([q, probes, 1], false);
        let draws = Draws { xi: unit(place(0)), extra: unit(place(1)), u: u.reshape([q * probes, 1]) };
        let memory = remembered.map(|t| Memory { t, denoised: unit(2) });

        let end = integrator.step(model, step, State { x: unit(1), memory }, &draws);
        let remembers = end.memory.is_some();
        let mut ends = vec![end.x.view([q, probes, dim])];
        ends.extend(end.memory.map(|memory| memory.denoised.view([q, probes, dim])));
        let ends = Tensor::stack(&ends, 2); // [Q, P, A, D]
        let offset = ends.narrow(1, 0, 1);
        let state = ends.narrow(1, 1, parts) - &offset;
        let noise = ends.narrow(1, 1 + parts, normals) - &offset;
        Self { offset: offset.squeeze_dim(1), state, noise, remembers }
    }
}

/// Moments of all parts of the state.
struct Moments {
    mean: Tensor,       // [S, D]
    covariance: Tensor, // [S, D, S, D]
}

impl Moments {
    fn new(law: Law) -> Self {
        let covariance = law.covariance.unsqueeze(0).unsqueeze(2); // [1, D, 1, D]
        Self { mean: law.mean.unsqueeze(0), covariance }
    }

    fn through(&self, map: &StepMap, weights: &Tensor) -> Self {
        let given = (&map.state * self.mean.unsqueeze(1)).sum_dim_intlist(1, false, None) + &map.offset; // [Q, A, D]
        let mean = weighted(weights, &given); // [A, D]
        let spread = given - &mean;

        // Law of total covariance: the mean of what is passed on, and the covariance of the means.
        let passed = einsum("q,qsad,qtbe->sadtbe", &[weights, &map.state, &map.state]);
        let before = self.covariance.unsqueeze(1).unsqueeze(4); // [S, 1, D, T, 1, D]
        let covariance = (passed * before).sum_dim_intlist(&[0, 3][..], false, None) // [A, D, B, D]
            + einsum("q,qad,qbe->adbe", &[weights, &spread, &spread]);
        let fresh = einsum("q,qrad,qrbd->abd", &[weights, &map.noise, &map.noise]);
        let fresh = fresh.diag_embed(0, -2, -1).permute([0, 2, 1, 3]); // [A, D, B, D]
        Self { mean, covariance: covariance + fresh }
    }

    fn law(self) -> Law {
        Law { mean: self.mean.get(0), covariance: self.covariance.get(0).select(1, 0) }
    }
}

/// Mean over the nodes.
fn weighted(weights: &Tensor, values: &Tensor) -> Tensor {
    einsum("q,qad->ad", &[weights, values])
}

fn einsum(equation: &str, operands: &[&Tensor]) -> Tensor {
    Tensor::einsum(equation, operands, None::<i64>)
}
