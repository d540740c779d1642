//! The phi^4 lattice field in two dimensions.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Options, Target};
use crate::config::check;

/// Side of the lattice and the couplings of the hopping form.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phi4Config {
    /// Side `L` of the periodic lattice; `dim` is its square.
    pub size: i64,
    /// Hopping parameter.
    pub kappa: f64,
    /// Quartic coupling, above 0.
    pub lambda: f64,
}

/// `log_prob = sum over sites of 2 kappa phi_x (phi_{x+1} + phi_{x+2}) - (1 - 2 lambda) phi_x^2 - lambda phi_x^4`
/// (Nicoli et al., "Estimation of thermodynamic observables in lattice field theories with deep generative models",
/// PRL 126, 2021), periodic, coordinates row-major.
pub struct Phi4 {
    size: i64,
    kappa: f64,
    lambda: f64,
}

impl Phi4 {
    pub fn new(config: &Phi4Config, _options: Options) -> Result<Self> {
        check::at_least("target.size", config.size, 2)?;
        check::finite("target.kappa", config.kappa)?;
        check::positive("target.lambda", config.lambda)?;
        Ok(Self { size: config.size, kappa: config.kappa, lambda: config.lambda })
    }

    /// Sum of the two forward neighbours of every site, `[N, L, L]`.
    fn forward_neighbours(&self, field: &Tensor) -> Tensor {
        field.roll(-1, 1) + field.roll(-1, 2)
    }
}

impl Target for Phi4 {
    fn dim(&self) -> i64 {
        self.size * self.size
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let field = x.reshape([-1, self.size, self.size]);
        let square = field.square();
        let hopping = self.forward_neighbours(&field) * (2.0 * self.kappa);
        let site = hopping * field - (&square * self.lambda + (1.0 - 2.0 * self.lambda)) * square;
        site.sum_dim_intlist([1, 2].as_slice(), false, None)
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let field = x.reshape([-1, self.size, self.size]);
        let neighbours = self.forward_neighbours(&field) + field.roll(1, 1) + field.roll(1, 2);
        let local = (field.square() * (-4.0 * self.lambda) - 2.0 * (1.0 - 2.0 * self.lambda)) * field;
        (neighbours * (2.0 * self.kappa) + local).reshape([-1, self.dim()])
    }
}
