//! Orthonormal bases in which an unknown function has coordinates, and how coordinates become an image.

use std::f64::consts::PI;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::hartley::hartley;
use crate::config::check;

const EXACT: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Every basis that a YAML can name, by its `type`. Coordinates of a plane are those of a grid, row by row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum BasisConfig {
    /// An abstract one: coordinates j = 1, 2, …, drawn as they are.
    Sequence(Modes),
    /// `2 sin((j - ½) π x₁) sin((k - ½) π x₂)` on the unit square: the Karhunen-Loève basis of the Brownian sheet.
    BrownianSheet(Modes),
    /// `2 sin(j π x₁) sin(k π x₂)`: eigenfunctions of the Laplacian that vanish at the border of the unit square.
    Dirichlet(Modes),
    /// `cos + sin` of `2π k·i / n` on a periodic grid of n points an axis.
    Fourier(Grid),
}

/// Modes an axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modes {
    pub modes: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Points, and modes, an axis.
    pub size: i64,
    /// 1 for a line, 2 for a plane.
    #[serde(default = "two")]
    pub axes: i64,
}

fn two() -> i64 {
    2
}

/// A basis with its frequencies.
#[derive(Debug, Clone)]
pub struct Basis {
    config: BasisConfig,
}

impl Basis {
    pub fn new(config: &BasisConfig) -> Result<Self> {
        match config {
            BasisConfig::Sequence(Modes { modes }) => {
                check::in_range("problem.basis.modes", *modes, 1, 10_000_000)?;
            }
            BasisConfig::BrownianSheet(Modes { modes }) | BasisConfig::Dirichlet(Modes { modes }) => {
                check::in_range("problem.basis.modes", *modes, 1, 2000)?;
            }
            BasisConfig::Fourier(Grid { size, axes }) => {
                check::in_range("problem.basis.size", *size, 2, 2048)?;
                check::in_range("problem.basis.axes", *axes, 1, 2)?;
            }
        }
        Ok(Self { config: config.clone() })
    }

    /// Coordinates along each axis.
    pub fn shape(&self) -> Vec<i64> {
        match self.config {
            BasisConfig::Sequence(Modes { modes }) => vec![modes],
            BasisConfig::BrownianSheet(Modes { modes }) | BasisConfig::Dirichlet(Modes { modes }) => vec![modes, modes],
            BasisConfig::Fourier(Grid { size, axes }) => vec![size; axes as usize],
        }
    }

    /// Number of coordinates, `D`.
    pub fn dim(&self) -> i64 {
        self.shape().iter().product()
    }

    /// Whether coordinates are waves on a periodic grid.
    pub fn is_periodic(&self) -> bool {
        matches!(self.config, BasisConfig::Fourier(_))
    }

    /// Whether coordinates are all there is to draw.
    pub fn is_sequence(&self) -> bool {
        matches!(self.config, BasisConfig::Sequence(_))
    }

    /// Frequencies along one axis: the index j, `(j - ½) π`, `j π`, or `2π` times the wave number.
    fn frequencies(&self) -> Tensor {
        let n = self.shape()[0];
        let index = Tensor::arange(n, EXACT);
        match self.config {
            BasisConfig::Sequence(_) => index + 1.0,
            BasisConfig::BrownianSheet(_) => (index + 0.5) * PI,
            BasisConfig::Dirichlet(_) => (index + 1.0) * PI,
            // Indices beyond the middle are negative wave numbers.
            BasisConfig::Fourier(_) => index.minimum(&(n as f64 - &index)) * (2.0 * PI),
        }
    }

    /// Sum of squared frequencies `[D]`: the eigenvalues ζ of minus the Laplacian (of a sequence, the index itself).
    pub fn eigenvalues(&self) -> Tensor {
        let squared = self.frequencies().square();
        match self.shape().as_slice() {
            [_, _] => (squared.unsqueeze(1) + squared.unsqueeze(0)).view([-1]),
            _ if matches!(self.config, BasisConfig::Sequence(_)) => self.frequencies(),
            _ => squared,
        }
    }

    /// Product of squared frequencies `[D]`, the inverse of the Brownian sheet's eigenvalues.
    pub fn products(&self) -> Tensor {
        let squared = self.frequencies().square();
        match self.shape().as_slice() {
            [_, _] => (squared.unsqueeze(1) * squared.unsqueeze(0)).view([-1]),
            _ => squared,
        }
    }

    /// 1 for coordinates of which every index is among the first `observed`, else 0: `[D]`.
    pub fn first(&self, observed: i64) -> Tensor {
        let shape = self.shape();
        let inside = Tensor::arange(shape[0], EXACT).lt(observed as f64).to_kind(Kind::Double);
        if shape.len() == 2 { inside.outer(&inside).view([-1]) } else { inside }
    }

    /// The function with coordinates `x` `[N, D]` at `points` an axis: `[N, P, P]`, or `[N, P]` on a line. A periodic
    /// grid and a sequence have points of their own.
    pub fn render(&self, x: &Tensor, points: i64) -> Tensor {
        let shape = [&[x.size()[0]], self.shape().as_slice()].concat();
        let grid = x.view(shape.as_slice());
        match self.config {
            BasisConfig::Sequence(_) => grid,
            BasisConfig::Fourier(Grid { axes, .. }) => hartley(&grid, axes),
            _ => {
                let at = (Tensor::arange(points, EXACT) + 0.5) / points as f64;
                let waves = at.outer(&self.frequencies()).sin() * 2f64.sqrt(); // [P, modes]
                waves.matmul(&grid).matmul(&waves.tr())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(config: BasisConfig) -> Basis {
        Basis::new(&config).unwrap()
    }

    /// The mean square of the function is the sum of squared coordinates.
    #[test]
    fn bases_are_orthonormal() {
        crate::torch::seed::reseed(2, crate::torch::seed::Stream::Data, 0);
        for config in [BasisConfig::BrownianSheet(Modes { modes: 4 }), BasisConfig::Dirichlet(Modes { modes: 4 })] {
            let basis = basis(config);
            let x = Tensor::randn([3, 16], EXACT);
            let image = basis.render(&x, 64);
            let found = image.square().mean_dim(&[1i64, 2][..], false, Kind::Double);
            let expected = x.square().sum_dim_intlist(1, false, Kind::Double);
            assert!((found / expected - 1.0).abs().max().double_value(&[]) < 1e-10);
        }
        let basis = basis(BasisConfig::Fourier(Grid { size: 6, axes: 2 }));
        let x = Tensor::randn([2, 36], EXACT);
        assert!(
            (basis.render(&x, 0).square().sum(Kind::Double) - x.square().sum(Kind::Double)).abs().double_value(&[])
                < 1e-10
        );
    }

    #[test]
    fn eigenvalues_are_squared_frequencies() {
        let sheet = basis(BasisConfig::BrownianSheet(Modes { modes: 3 }));
        let expected = (1.5 * PI).powi(2) * (2.5 * PI).powi(2);
        assert!((sheet.products().double_value(&[5]) - expected).abs() < 1e-9 * expected);
        let heat = basis(BasisConfig::Dirichlet(Modes { modes: 3 }));
        assert!((heat.eigenvalues().double_value(&[5]) - 13.0 * PI * PI).abs() < 1e-10);
        let wave = basis(BasisConfig::Fourier(Grid { size: 5, axes: 1 })).eigenvalues() / (4.0 * PI * PI);
        assert_eq!(Vec::<f64>::try_from(wave.round()).unwrap(), [0.0, 1.0, 4.0, 4.0, 1.0]);
        assert_eq!(Vec::<f64>::try_from(sheet.first(2)).unwrap(), [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
