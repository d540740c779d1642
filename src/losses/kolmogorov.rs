//! Losses of jump processes: squares of what the Kolmogorov equation leaves over.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::config::check;
use crate::processes::ctmc;

/// Where `c_t = d/dt log Z_t` in `(xi_t - c_t)²` comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ResidualLoss {
    /// The mean of `xi_t` over the newest rollout, which is also a Stein control variate: its variance goes to 0 with the
    /// loss (DNFS).
    Kolmogorov {
        /// Bound on log-ratios; `null` for none.
        #[serde(default = "five")]
        ratio_clamp: Option<f64>,
    },
    /// The variance of `xi_t` among rows of a batch that share their time: `c_t` is their mean, never out of date.
    Variance {
        #[serde(default = "five")]
        ratio_clamp: Option<f64>,
        /// Rows that share a time, a divisor of the batch.
        #[serde(default = "sixteen")]
        rows: i64,
    },
    /// `-dF/dt` of a network trained along (LEAPS).
    Pinn {
        #[serde(default = "five")]
        ratio_clamp: Option<f64>,
        /// Widths of its hidden layers.
        #[serde(default = "four_layers")]
        hidden: Vec<i64>,
    },
}

fn five() -> Option<f64> {
    Some(5.0)
}

fn sixteen() -> i64 {
    16
}

fn four_layers() -> Vec<i64> {
    vec![200; 4]
}

impl Default for ResidualLoss {
    fn default() -> Self {
        Self::Kolmogorov { ratio_clamp: five() }
    }
}

impl ResidualLoss {
    pub fn validate(&self, batch: i64) -> Result<()> {
        self.ratio_clamp().map_or(Ok(()), |most| check::positive("loss.ratio_clamp", most))?;
        match self {
            Self::Kolmogorov { .. } => Ok(()),
            Self::Variance { rows, .. } => {
                check::at_least("loss.rows", *rows, 2)?;
                check::multiple_of("train.batch", batch as u64, *rows as u64)
            }
            Self::Pinn { hidden, .. } => {
                check::not_empty("loss.hidden", hidden)?;
                hidden.iter().try_for_each(|width| check::in_range("loss.hidden", *width, 1, 65_536))
            }
        }
    }

    pub fn ratio_clamp(&self) -> Option<f64> {
        let (Self::Kolmogorov { ratio_clamp } | Self::Variance { ratio_clamp, .. } | Self::Pinn { ratio_clamp, .. }) =
            self;
        *ratio_clamp
    }
}

/// `xi_t(x)` with the graph of `g` `[B, D, S]`; the ratios are constants. `[B]`, in the kind of `g`.
pub fn residual(g: &Tensor, slope: &Tensor, log_ratios: &Tensor, clamp: Option<f64>) -> Tensor {
    let kind = g.kind();
    ctmc::residual(&slope.to_kind(kind), g, &log_ratios.to_kind(kind), clamp)
}

/// Squares of `xi - c` `[B]`: NaN counts 0 and infinities 1, as in the authors' code, so that one absurd state does not
/// spoil a batch.
pub fn squares(xi: &Tensor, c: &Tensor) -> Tensor {
    (xi - c).nan_to_num(0.0, 1.0, -1.0).square()
}

/// Squares of `xi - mean` within runs of `rows` rows, scaled so that their mean is an unbiased variance.
pub fn variances(xi: &Tensor, rows: i64) -> Tensor {
    let groups = xi.view([-1, rows]);
    let mean = groups.mean_dim(1, true, None::<Kind>);
    squares(&groups, &mean).view([-1]) * (rows as f64 / (rows as f64 - 1.0))
}
