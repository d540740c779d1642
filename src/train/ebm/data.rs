//! Where bits come from.

use anyhow::Result;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::{Device, Kind, Tensor};

use super::config::Data;
use crate::bad_input;
use crate::io::images::read_images;
use crate::io::tensors::{read_tensors, take};
use crate::samplers::mcmc::lattice::{KernelConfig, random_state};
use crate::targets::lattice::{DiscreteTarget, LatticeConfig, gray};
use crate::targets::toys::Toy;
use crate::torch::seed::{Stream, step_seed};

/// Bits to learn from.
pub enum Source {
    /// Endless.
    Toy(Toy),
    /// `[N, D]` u8.
    Rows { x: Tensor, shape: Option<(i64, i64)>, law: Option<Box<dyn DiscreteTarget>> },
}

impl Source {
    pub fn open(data: &Data, seed: u64) -> Result<Self> {
        Ok(match data {
            Data::Toy { name } => Self::Toy(*name),
            Data::File { path, tensor, threshold, shape } => {
                // Images of `make data` are IDX, which names no tensor.
                let x = if path.extension().is_some_and(|end| end == "idx3") {
                    read_images(path)?.pixels.flatten(1, -1)
                } else {
                    take(path, &mut read_tensors(path)?, tensor)?
                };
                let size = x.size();
                let sites = shape.map(|[rows, columns]| rows * columns);
                let fits =
                    matches!(size.as_slice(), [n, d] if *n > 1 && *d > 0 && sites.is_none_or(|sites| sites == *d));
                if !fits {
                    let wanted = sites.map_or("D".to_string(), |sites| sites.to_string());
                    let file = path.display();
                    return Err(bad_input!("{file}: tensor '{tensor}' has shape {size:?}, expected [N, {wanted}]"));
                }
                let x = x.to_kind(Kind::Double).gt(*threshold).to_kind(Kind::Uint8);
                Self::Rows { x, shape: shape.map(|[rows, columns]| (rows, columns)), law: None }
            }
            Data::Chains { target, samples, sweeps } => chains(target, *samples, *sweeps, seed)?,
        })
    }

    pub fn sites(&self) -> i64 {
        match self {
            Self::Toy(_) => gray::SITES as i64,
            Self::Rows { x, .. } => x.size()[1],
        }
    }

    pub fn toy(&self) -> Option<Toy> {
        if let Self::Toy(toy) = self { Some(*toy) } else { None }
    }

    pub fn shape(&self) -> Option<(i64, i64)> {
        if let Self::Rows { shape, .. } = self { *shape } else { None }
    }

    /// The law that chains ran on.
    pub fn law(&self) -> Option<&dyn DiscreteTarget> {
        if let Self::Rows { law: Some(law), .. } = self { Some(&**law) } else { None }
    }

    /// Independent rows (with replacement, where there are only so many), `[count, D]` i64.
    pub fn draw(&self, count: i64, seed: u64) -> Tensor {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::Toy(toy) => {
                let scale = gray::scale(*toy);
                let bits: Vec<u8> = (0..count).flat_map(|_| gray::encode(toy.draw(&mut random), scale)).collect();
                Tensor::from_slice(&bits).view([count, -1]).to_kind(Kind::Int64)
            }
            Self::Rows { x, .. } => {
                let rows: Vec<i64> = (0..count).map(|_| random.random_range(0..x.size()[0])).collect();
                x.index_select(0, &Tensor::from_slice(&rows)).to_kind(Kind::Int64)
            }
        }
    }
}

fn chains(config: &LatticeConfig, samples: i64, sweeps: i64, seed: u64) -> Result<Source> {
    let law = config.build((Kind::Double, Device::Cpu))?;
    let model = law.pairs().filter(|_| law.num_states() == 2);
    let model = model.ok_or_else(|| bad_input!("'data.target' must be a law of pairs of two states"))?;
    let mut kernel = KernelConfig::Gibbs.build(model, "data.target")?;
    let mut bits = Vec::new();
    for chain in 0..samples as u64 {
        let mut random = ChaCha8Rng::seed_from_u64(step_seed(seed, Stream::Data, chain));
        let mut x = random_state(model, &mut random);
        for _ in 0..sweeps {
            kernel.sweep(&mut x, &mut random);
        }
        bits.extend_from_slice(&x[..law.sites() as usize]);
    }
    drop(kernel);
    let x = Tensor::from_slice(&bits).view([samples, -1]);
    let shape = law.shape();
    Ok(Source::Rows { x, shape, law: Some(law) })
}
