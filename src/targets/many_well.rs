//! Products of double wells and Gaussians, in the versions that share the name "many-well".

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::quartic::Quartic;
use super::support::{LN_2PI, constant};
use super::{Options, Target};
use crate::bad_input;
use crate::config::check;

/// Which product of wells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManyWellVariant {
    /// `-(x^2 - delta)^2` in the first `wells` coordinates, `-x^2/2` in the rest. `dim` = `wells` = 5, `delta` 4 is
    /// "MW-54" (Richter and Berner, ICLR 2024; SCLD); `dim` 50, `wells` 5, `delta` 2 is the 50-d one (Blessing et al.,
    /// "Underdamped diffusion bridges", ICLR 2025).
    #[default]
    Squared,
    /// `-x^4 + 6 x^2 + x/2` in the even coordinates, `-x^2/2` in the odd ones: FAB's (Midgley et al., ICLR 2023),
    /// there with `dim` 32. Takes neither `wells` nor `delta`.
    Fab,
}

/// Dimension and wells.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManyWellConfig {
    pub dim: i64,
    #[serde(default)]
    pub variant: ManyWellVariant,
    /// Number of coordinates with a double well (variant `squared`).
    #[serde(default)]
    pub wells: Option<i64>,
    /// The wells of variant `squared` lie at `±sqrt(delta)`.
    #[serde(default)]
    pub delta: Option<f64>,
}

/// Patterns of signs beyond this many wells are too many to list as modes.
const MAX_LISTED: i64 = 10;

/// `sum over wells of -x^4 + a x^2 + b x + c`, plus `-x^2/2` elsewhere; log Z by quadrature.
pub struct ManyWell {
    well: Quartic,
    constant: f64,
    positions: Tensor, // [M], which coordinates are wells
    linear: Tensor,    // [D], coefficients of x
    quadratic: Tensor, // [D], of x^2
    quartic: Tensor,   // [D], of x^4
}

impl ManyWell {
    pub fn new(config: &ManyWellConfig, options: Options) -> Result<Self> {
        let dim = config.dim;
        check::at_least("target.dim", dim, 1)?;
        let (well, shift, positions) = match config.variant {
            ManyWellVariant::Squared => Self::squared(config)?,
            ManyWellVariant::Fab => Self::fab(config)?,
        };

        let in_wells = |inside: f64, outside: f64| {
            let mut values = vec![outside; dim as usize];
            positions.iter().for_each(|i| values[*i as usize] = inside);
            constant(&values, &[dim], options)
        };
        Ok(Self {
            well,
            constant: shift * positions.len() as f64,
            linear: in_wells(well.b, 0.0),
            quadratic: in_wells(well.a, -0.5),
            quartic: in_wells(-1.0, 0.0),
            positions: Tensor::from_slice(&positions).to_device(options.1),
        })
    }

    fn squared(config: &ManyWellConfig) -> Result<(Quartic, f64, Vec<i64>)> {
        let (Some(wells), Some(delta)) = (config.wells, config.delta) else {
            return Err(bad_input!("'target.variant' squared needs both 'target.wells' and 'target.delta'"));
        };
        check::at_least("target.wells", wells, 1)?;
        check::positive("target.delta", delta)?;
        check::at_most("target.wells", wells, config.dim)?;
        Ok((Quartic { a: 2.0 * delta, b: 0.0 }, -delta * delta, (0..wells).collect()))
    }

    fn fab(config: &ManyWellConfig) -> Result<(Quartic, f64, Vec<i64>)> {
        if config.wells.is_some() || config.delta.is_some() {
            return Err(bad_input!("'target.variant' fab takes neither 'target.wells' nor 'target.delta'"));
        }
        check::multiple_of("target.dim", config.dim as u64, 2)?;
        Ok((Quartic { a: 6.0, b: 0.5 }, 0.0, (0..config.dim).step_by(2).collect()))
    }

    fn num_wells(&self) -> i64 {
        self.positions.size()[0]
    }
}

impl Target for ManyWell {
    fn dim(&self) -> i64 {
        self.linear.size()[0]
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let slope = self.quadratic.addcmul(&self.quartic, &x.square()); // [N, D]
        let terms = self.linear.addcmul(&slope, x) * x;
        terms.sum_dim_intlist(-1, false, None) + self.constant
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let slope = self.quadratic.addcmul(&self.quartic, &(x.square() * 2.0)); // [N, D]
        self.linear.addcmul(&slope, &(x * 2.0))
    }

    fn log_z(&self) -> Option<f64> {
        let wells = self.num_wells() as f64;
        Some(wells * self.well.log_z() + self.constant + 0.5 * LN_2PI * (self.dim() as f64 - wells))
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        let options = (self.linear.kind(), self.linear.device());
        let wells = self.well.sample(n * self.num_wells(), options.1).to_kind(options.0);
        let mut x = Tensor::randn([n, self.dim()], options);
        Some(x.index_copy_(1, &self.positions, &wells.view([n, -1])))
    }

    /// A mode is a choice of side in every well, `K = 2^wells`, the first well being the lowest bit and the right side
    /// a one. Its component is the density cut to that region, so a point has `log_prob` in one column and -inf in the
    /// others. `None` beyond ten wells.
    fn mode_log_probs(&self, x: &Tensor) -> Option<Tensor> {
        let wells = self.num_wells();
        if wells > MAX_LISTED {
            return None;
        }
        let barrier = self.well.critical_points()[1];
        let right = x.index_select(-1, &self.positions).gt(barrier).to_kind(Kind::Int64); // [N, M]
        let bits = Tensor::from_slice(&(0..wells).map(|i| 1i64 << i).collect::<Vec<_>>()).to_device(x.device());
        let mode = (right * bits).sum_dim_intlist(-1, true, None); // [N, 1]

        let outside = Tensor::full([x.size()[0], 1 << wells], f64::NEG_INFINITY, (x.kind(), x.device()));
        Some(outside.scatter(-1, &mode, &self.log_prob(x).unsqueeze(-1)))
    }
}
