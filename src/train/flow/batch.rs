//! Batches of frames from several molecules, cut into pieces for the workers.

use tch::{Device, Kind, Tensor};

use super::config::{Augment, Batching};
use super::data::{Ensemble, augmented};
use crate::flows::Conditioning;

/// Frames that go through the network together.
pub struct Piece {
    /// `[B, L, 3]`; zeros at padding.
    pub x: Tensor,
    /// One row for all frames, or one a frame.
    pub conditioning: Conditioning,
}

impl Piece {
    pub fn to_device(&self, device: Device) -> Self {
        Self { x: self.x.to_device(device), conditioning: self.conditioning.to_device(device) }
    }
}

/// Draws `batch` frames and deals them out to `workers` lists of pieces. Draws from libtorch's generator.
pub fn draw(
    ensembles: &[Ensemble],
    batch: i64,
    batching: &Batching,
    augment: &Augment,
    workers: i64,
) -> Vec<Vec<Piece>> {
    match batching {
        Batching::Grouped { molecules } => grouped(ensembles, batch, *molecules, augment, workers),
        Batching::Padded {} => padded(ensembles, batch, augment, workers),
    }
}

/// Molecules without repetition while there are enough; each brings `batch / molecules` frames.
fn grouped(ensembles: &[Ensemble], batch: i64, molecules: i64, augment: &Augment, workers: i64) -> Vec<Vec<Piece>> {
    let order = Tensor::randperm(ensembles.len() as i64, (Kind::Int64, Device::Cpu));
    let order = Vec::<i64>::try_from(&order).expect("a permutation is a vector of integers");
    let share = (batch + workers - 1) / workers;
    let mut dealt: Vec<Vec<Piece>> = (0..workers).map(|_| Vec::new()).collect();
    let mut place = 0;
    for group in 0..molecules {
        let ensemble = &ensembles[order[group as usize % order.len()] as usize];
        let rows = (group + 1) * batch / molecules - group * batch / molecules;
        let x = augmented(&pick(&ensemble.train, rows), augment);
        // A group that reaches over the end of a worker's share is cut there.
        let mut from = 0;
        while from < rows {
            let (worker, room) = (place / share, share - place % share);
            let count = room.min(rows - from);
            let piece = Piece {
                x: x.narrow(0, from, count),
                conditioning: ensemble.subject.conditioning.to_device(Device::Cpu),
            };
            dealt[worker as usize].push(piece);
            (from, place) = (from + count, place + count);
        }
    }
    dealt
}

fn padded(ensembles: &[Ensemble], batch: i64, augment: &Augment, workers: i64) -> Vec<Vec<Piece>> {
    let which = Tensor::randint(ensembles.len() as i64, [batch], (Kind::Int64, Device::Cpu));
    let which = Vec::<i64>::try_from(&which).expect("integers are integers");
    let rows: Vec<(&Ensemble, Tensor)> = which
        .into_iter()
        .map(|i| &ensembles[i as usize])
        .map(|ensemble| (ensemble, augmented(&pick(&ensemble.train, 1), augment)))
        .collect();
    let share = (batch as usize).div_ceil(workers as usize);
    let mut dealt: Vec<Vec<Piece>> = rows.chunks(share).map(|part| vec![together(part)]).collect();
    dealt.resize_with(workers as usize, Vec::new);
    dealt
}

/// `count` random rows.
fn pick(frames: &Tensor, count: i64) -> Tensor {
    let rows = Tensor::randint(frames.size()[0], [count], (Kind::Int64, frames.device()));
    frames.index_select(0, &rows)
}

/// Rows of several molecules as one padded piece.
fn together(rows: &[(&Ensemble, Tensor)]) -> Piece {
    let longest = rows.iter().map(|(_, x)| x.size()[1]).max().unwrap_or(0);
    let pad = |x: &Tensor| x.constant_pad_nd([0, 0, 0, longest - x.size()[1]]);
    let x = Tensor::cat(&rows.iter().map(|(_, x)| pad(x)).collect::<Vec<_>>(), 0);
    let parts: Vec<&Conditioning> = rows.iter().map(|(ensemble, _)| &ensemble.subject.conditioning).collect();
    Piece { x, conditioning: stacked(&parts, longest) }
}

/// Rows of molecules under one another, padded to `tokens` as [`Conditioning`] says.
fn stacked(rows: &[&Conditioning], tokens: i64) -> Conditioning {
    let zeros = |t: &Tensor| t.constant_pad_nd([0, tokens - t.size()[1]]);
    let identity = |t: &Tensor| {
        let rest = Tensor::arange_start(t.size()[1], tokens, (Kind::Int64, t.device())).unsqueeze(0);
        Tensor::cat(&[t, &rest], 1)
    };
    let join =
        |of: &dyn Fn(&Conditioning) -> Tensor| Tensor::cat(&rows.iter().map(|row| of(row)).collect::<Vec<_>>(), 0);
    let blocks = rows.first().map_or(0, |row| row.orders.len());
    Conditioning {
        atom_type: join(&|row| zeros(&row.atom_type)),
        aa_type: join(&|row| zeros(&row.aa_type)),
        aa_pos: join(&|row| zeros(&row.aa_pos)),
        seq_len: join(&|row| row.seq_len.shallow_clone()),
        orders: (0..blocks).map(|b| join(&|row| identity(&row.orders[b]))).collect(),
        mask: Some(join(&|row| zeros(&row.atom_type.ones_like()))),
    }
}
