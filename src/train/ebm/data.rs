//! Where bits come from.

use anyhow::Result;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
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
    Rows(Rows),
}

/// So many states and no more.
pub struct Rows {
    /// `[N, D]` u8.
    x: Tensor,
    /// Those that only measures see, if there are any.
    held_out: Option<Tensor>,
    shape: Option<(i64, i64)>,
    law: Option<Box<dyn DiscreteTarget>>,
}

impl Source {
    pub fn open(data: &Data, seed: u64) -> Result<Self> {
        Ok(match data {
            Data::Toy { name } => Self::Toy(*name),
            Data::File { path, tensor, threshold, shape, held_out } => {
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
                let (x, held_out) = split(x, *held_out);
                Self::Rows(Rows { x, held_out, shape: shape.map(|[rows, columns]| (rows, columns)), law: None })
            }
            Data::Chains { target, samples, sweeps } => chains(target, *samples, *sweeps, seed)?,
        })
    }

    pub fn sites(&self) -> i64 {
        match self {
            Self::Toy(_) => gray::SITES as i64,
            Self::Rows(rows) => rows.x.size()[1],
        }
    }

    pub fn toy(&self) -> Option<Toy> {
        if let Self::Toy(toy) = self { Some(*toy) } else { None }
    }

    pub fn shape(&self) -> Option<(i64, i64)> {
        if let Self::Rows(rows) = self { rows.shape } else { None }
    }

    /// The law that chains ran on.
    pub fn law(&self) -> Option<&dyn DiscreteTarget> {
        if let Self::Rows(Rows { law: Some(law), .. }) = self { Some(&**law) } else { None }
    }

    /// Independent rows to learn from (with replacement, where there are only so many), `[count, D]` i64.
    pub fn draw(&self, count: i64, seed: u64) -> Tensor {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::Toy(toy) => points(*toy, count, &mut random),
            Self::Rows(rows) => {
                let index: Vec<i64> = (0..count).map(|_| random.random_range(0..rows.x.size()[0])).collect();
                rows.x.index_select(0, &Tensor::from_slice(&index)).to_kind(Kind::Int64)
            }
        }
    }

    /// Data to measure by, at most `count`, and as many others beside them where there are two sets: fresh points, or
    /// held-out rows and those that were learned from. `[N, D]` i64, no row twice.
    pub fn measures(&self, count: i64, seed: u64) -> (Tensor, Option<Tensor>) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::Toy(toy) => (points(*toy, count, &mut random), Some(points(*toy, count, &mut random))),
            Self::Rows(Rows { x, held_out: None, .. }) => (some(x, count, &mut random), None),
            Self::Rows(Rows { x, held_out: Some(held_out), .. }) => {
                let count = count.min(held_out.size()[0]).min(x.size()[0]);
                (some(held_out, count, &mut random), Some(some(x, count, &mut random)))
            }
        }
    }
}

fn points(toy: Toy, count: i64, random: &mut ChaCha8Rng) -> Tensor {
    let scale = gray::scale(toy);
    let bits: Vec<u8> = (0..count).flat_map(|_| gray::encode(toy.draw(random), scale)).collect();
    Tensor::from_slice(&bits).view([count, -1]).to_kind(Kind::Int64)
}

/// At most `count` different rows in random order.
fn some(x: &Tensor, count: i64, random: &mut ChaCha8Rng) -> Tensor {
    let mut index: Vec<i64> = (0..x.size()[0]).collect();
    index.shuffle(random);
    index.truncate(count as usize);
    x.index_select(0, &Tensor::from_slice(&index)).to_kind(Kind::Int64)
}

/// Rows to learn from, and a share of at most half held out: evenly spaced, for files are often sorted.
fn split(x: Tensor, share: f64) -> (Tensor, Option<Tensor>) {
    let held = |row: i64| ((row + 1) as f64 * share).floor() > (row as f64 * share).floor();
    let (out, kept): (Vec<i64>, Vec<i64>) = (0..x.size()[0]).partition(|row| held(*row));
    if out.len() < 2 {
        return (x, None);
    }
    let take = |rows: &[i64]| x.index_select(0, &Tensor::from_slice(rows));
    (take(&kept), Some(take(&out)))
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
    Ok(Source::Rows(Rows { x, held_out: None, shape, law: Some(law) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_rows_are_a_share_of_all_and_of_no_use_to_training() {
        let x = Tensor::arange(50, (Kind::Int64, Device::Cpu)).unsqueeze(1);
        let (kept, out) = split(x.shallow_clone(), 0.2);
        let values = |x: &Tensor| Vec::<i64>::try_from(x.view([-1])).unwrap();
        let held = values(&out.unwrap());
        assert_eq!(held, [4, 9, 14, 19, 24, 29, 34, 39, 44, 49]);
        assert!(values(&kept).len() == 40 && values(&kept).iter().all(|row| !held.contains(row)));
        assert!(split(x, 0.0).1.is_none());

        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut drawn = values(&some(&kept, 100, &mut random));
        drawn.sort();
        assert_eq!(drawn, values(&kept));
    }
}
