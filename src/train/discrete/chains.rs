//! Chains as plain data: what they stand at, what they measured, and their checkpoints.
//!
//! Kernels keep nothing from sweep to sweep, so a chain is its states, the place in its stream of random numbers, and
//! its record: one that is taken up again from these repeats the uninterrupted one to the bit.

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::config::McmcConfig;
use crate::bad_input;
use crate::io::checkpoint::{Checkpoint, Named};
use crate::io::tensors::take;
use crate::samplers::mcmc::lattice::{Info, Tempering, random_state, tempering::Exchanges};
use crate::targets::lattice::PairModel;
use crate::targets::lattice::figures::Figures;

/// One chain with its replicas, and its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    seed: u64,
    /// Random numbers drawn so far, as 32-bit words.
    drawn: u128,
    /// A state for each factor of `tempering`.
    states: Vec<Vec<u8>>,
    /// Sweeps made, those of the burn-in included.
    pub sweep: i64,
    /// One series for each figure.
    pub series: Vec<Vec<f64>>,
    /// Kept states, one after the other.
    pub kept: Vec<i64>,
    pub info: Info,
    pub exchanges: Exchanges,
}

impl Chain {
    /// A chain at random states.
    pub fn begin(models: &[PairModel], figures: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let states = models.iter().map(|model| random_state(model, &mut random)).collect();
        let drawn = random.get_word_pos();
        let (series, kept) = (vec![Vec::new(); figures], Vec::new());
        Self { seed, drawn, states, sweep: 0, series, kept, info: Info::default(), exchanges: Exchanges::default() }
    }

    /// Sweeps and measures until `sweep` sweeps are made.
    ///
    /// # Errors
    /// If the kernel does not suit the model.
    pub fn advance(
        &mut self,
        mcmc: &McmcConfig,
        models: &[PairModel],
        figures: &Figures,
        sites: usize,
        sweep: i64,
    ) -> Result<()> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_word_pos(self.drawn);
        let states = std::mem::take(&mut self.states);
        let mut replicas = Tempering::at(mcmc.kernel, "mcmc.kernel", models, &mcmc.tempering, states)?;
        (replicas.odd, replicas.exchanges) = (self.sweep % 2 == 1, self.exchanges);

        let stride = mcmc.sweeps / mcmc.every / mcmc.samples;
        while self.sweep < sweep {
            self.info.add(replicas.sweep(&mut random));
            self.sweep += 1;
            let measured = self.sweep - mcmc.burn_in;
            if measured <= 0 || measured % mcmc.every != 0 {
                continue;
            }
            let x = replicas.state();
            self.series.iter_mut().zip(figures.read(x)).for_each(|(series, value)| series.push(value));
            if measured / mcmc.every % stride == 0 && self.kept.len() < mcmc.samples as usize * sites {
                self.kept.extend(x[..sites].iter().map(|state| i64::from(*state)));
            }
        }
        (self.exchanges, self.drawn) = (replicas.exchanges, random.get_word_pos());
        self.states = replicas.into_states();
        Ok(())
    }
}

/// Everything that the next sweeps depend on and the figures are of, for a checkpoint; all chains stand at one sweep.
pub fn named(chains: &[Chain]) -> Named {
    let count = chains.len() as i64;
    let states: Vec<u8> = chains.iter().flat_map(|chain| chain.states.iter().flatten().copied()).collect();
    let kept: Vec<i64> = chains.iter().flat_map(|chain| chain.kept.iter().copied()).collect();
    // A position has 68 bits.
    let drawn = chains.iter().flat_map(|chain| [(chain.drawn >> 62) as i64, (chain.drawn & LOW) as i64]);
    let counts = chains.iter().flat_map(|chain| {
        let (info, exchanges) = (chain.info, chain.exchanges);
        [info.changed, info.visited, exchanges.tried, exchanges.made].map(|count| count as i64)
    });
    let series: Vec<f64> = chains.iter().flat_map(|chain| chain.series.iter().flatten().copied()).collect();
    let (replicas, figures) = chains.first().map_or((1, 1), |chain| (chain.states.len(), chain.series.len()));
    let measured = chains.first().map_or(0, |chain| chain.series.first().map_or(0, Vec::len));
    vec![
        ("states".into(), Tensor::from_slice(&states).view([count, replicas as i64, -1])), // [C, R, D]
        ("drawn".into(), Tensor::from_slice(&drawn.collect::<Vec<_>>()).view([count, 2])),
        ("counts".into(), Tensor::from_slice(&counts.collect::<Vec<_>>()).view([count, 4])),
        ("series".into(), Tensor::from_slice(&series).view([count, figures as i64, measured as i64])),
        ("kept".into(), Tensor::from_slice(&kept).view([count, kept.len() as i64 / count])),
    ]
}

const LOW: u128 = (1 << 62) - 1;

/// Takes the fresh `chains` to where those stood that [`named`] saved in `checkpoint`; kept states are of the first
/// `sites` sites, which take `num_states` states.
///
/// # Errors
/// If a tensor is missing or is none of these chains.
pub fn restore(
    chains: &mut [Chain],
    mcmc: &McmcConfig,
    (sites, num_states): (i64, i64),
    checkpoint: &Checkpoint,
) -> Result<()> {
    let path = checkpoint.path.join("chains.safetensors");
    let mut tensors = checkpoint.tensors("chains")?.tensors.into_iter().collect();
    let first = chains.first().ok_or_else(|| bad_input!("no chains"))?;
    let (replicas, figures) = (first.states.len() as i64, first.series.len() as i64);
    let measured = (checkpoint.step as i64 - mcmc.burn_in).max(0) / mcmc.every;
    let stride = mcmc.sweeps / mcmc.every / mcmc.samples;
    let count = chains.len() as i64;

    let mut tensor = |name: &str, kind: Kind, shape: &[i64]| -> Result<Tensor> {
        let found = take(&path, &mut tensors, name)?;
        if found.size() == shape && found.kind() == kind {
            return Ok(found);
        }
        let (path, size, was) = (path.display(), found.size(), found.kind());
        Err(bad_input!("{path}: tensor '{name}' is {was:?} {size:?}, these chains need {kind:?} {shape:?}"))
    };
    let states = tensor("states", Kind::Uint8, &[count, replicas, first.states[0].len() as i64])?;
    let drawn = tensor("drawn", Kind::Int64, &[count, 2])?;
    let counts = tensor("counts", Kind::Int64, &[count, 4])?;
    let series = tensor("series", Kind::Double, &[count, figures, measured])?;
    let kept = tensor("kept", Kind::Int64, &[count, (measured / stride).min(mcmc.samples) * sites])?;

    let most = states.max().int64_value(&[]);
    if most >= num_states {
        return Err(bad_input!("{}: tensor 'states' holds {most}, expected less than {num_states}", path.display()));
    }

    for (i, chain) in chains.iter_mut().enumerate() {
        let i = i as i64;
        let rows = |t: &Tensor| -> Vec<Tensor> { (0..t.size()[1]).map(|k| t.get(i).get(k)).collect() };
        chain.sweep = checkpoint.step as i64;
        chain.states = rows(&states).iter().map(Vec::<u8>::try_from).collect::<Result<_, _>>()?;
        chain.series = rows(&series).iter().map(Vec::<f64>::try_from).collect::<Result<_, _>>()?;
        chain.kept = Vec::<i64>::try_from(kept.get(i))?;
        let words = |k: i64| drawn.int64_value(&[i, k]) as u128;
        chain.drawn = (words(0) << 62) | words(1);
        let counted = |k: i64| counts.int64_value(&[i, k]) as u64;
        chain.info = Info { changed: counted(0), visited: counted(1) };
        chain.exchanges = Exchanges { tried: counted(2), made: counted(3) };
    }
    Ok(())
}
