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

/// How a batch is dealt out.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// Lists of pieces, of about equally many frames.
    pub workers: i64,
    /// Most frames of a piece.
    pub rows: i64,
}

/// Draws `batch` frames and deals them out as lists of pieces. Draws from libtorch's generator; what it draws does not
/// depend on `shares`.
pub fn draw(
    ensembles: &[Ensemble],
    batch: i64,
    batching: &Batching,
    augment: &Augment,
    shares: Shares,
) -> Vec<Vec<Piece>> {
    match batching {
        Batching::Grouped { molecules } => grouped(ensembles, batch, *molecules, augment, shares),
        Batching::Padded {} => padded(ensembles, batch, augment, shares),
    }
}

/// Molecules without repetition while there are enough; each brings `batch / molecules` frames.
fn grouped(ensembles: &[Ensemble], batch: i64, molecules: i64, augment: &Augment, shares: Shares) -> Vec<Vec<Piece>> {
    let order = Tensor::randperm(ensembles.len() as i64, (Kind::Int64, Device::Cpu));
    let order = Vec::<i64>::try_from(&order).expect("a permutation is a vector of integers");
    let share = (batch + shares.workers - 1) / shares.workers;
    let mut dealt: Vec<Vec<Piece>> = (0..shares.workers).map(|_| Vec::new()).collect();
    let mut place = 0;
    for group in 0..molecules {
        let ensemble = &ensembles[order[group as usize % order.len()] as usize];
        let rows = (group + 1) * batch / molecules - group * batch / molecules;
        let x = augmented(&pick(&ensemble.train, rows), augment);
        // A group that reaches over the end of a worker's share is cut there.
        let mut from = 0;
        while from < rows {
            let (worker, room) = (place / share, share - place % share);
            let count = room.min(rows - from).min(shares.rows);
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

fn padded(ensembles: &[Ensemble], batch: i64, augment: &Augment, shares: Shares) -> Vec<Vec<Piece>> {
    let which = Tensor::randint(ensembles.len() as i64, [batch], (Kind::Int64, Device::Cpu));
    let which = Vec::<i64>::try_from(&which).expect("integers are integers");
    let rows: Vec<(&Ensemble, Tensor)> = which
        .into_iter()
        .map(|i| &ensembles[i as usize])
        .map(|ensemble| (ensemble, augmented(&pick(&ensemble.train, 1), augment)))
        .collect();
    let share = (batch as usize).div_ceil(shares.workers as usize);
    let pieces = |part: &[(&Ensemble, Tensor)]| part.chunks(shares.rows as usize).map(together).collect();
    let mut dealt: Vec<Vec<Piece>> = rows.chunks(share).map(pieces).collect();
    dealt.resize_with(shares.workers as usize, Vec::new);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::flows::{Flow, FlowConfig, NetworkConfig};
    use crate::io::tensors::read_tensors;
    use crate::targets::molecule::topology::Topology;
    use crate::torch::seed::{Stream, reseed};
    use crate::train::flow::subject::Subject;
    use crate::train::flow::team::FlowTeam;
    use crate::train::flow::{FlowObjective, FlowTrainConfig};

    const PLAIN: Augment = Augment { rotate: false, center_noise: false };

    fn network() -> FlowConfig {
        let sizes =
            NetworkConfig { channels: 16, head_dim: 8, num_blocks: 2, layers_per_block: 1, ..Default::default() };
        FlowConfig::Prose(sizes)
    }

    /// The frames of tests/fixtures/prose/energy.
    fn ensemble(sequence: &str) -> Ensemble {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prose/energy");
        let topology = Topology::read(&folder.join(format!("{sequence}.pdb"))).unwrap();
        let x = read_tensors(&folder.join(format!("{sequence}.safetensors"))).unwrap().remove("x_nm").unwrap();
        let x = x.to_kind(Kind::Double);
        let x = (&x - x.mean_dim([1i64].as_slice(), true, Kind::Double)) / 0.35;
        Ensemble { subject: Subject::new(sequence, topology, &network()).unwrap(), train: x }
    }

    /// A flow that is not the identity.
    fn objective() -> FlowObjective {
        reseed(1, Stream::Init, 0);
        let flow = network().build(Kind::Double, Device::Cpu).unwrap();
        tch::no_grad(|| flow.params().named().iter_mut().for_each(|(_, p)| *p += p.randn_like() * 0.1));
        let config = json!({"data": {"sequences": ["AA"], "frames": "x"}, "train": {"steps": 1, "batch": 2,
            "learning_rate": 1e-3}});
        let config: FlowTrainConfig = serde_json::from_value(config).unwrap();
        let team = FlowTeam::new(flow).unwrap();
        FlowObjective { team, config, ensembles: Vec::new(), measures: Vec::new(), cost: Default::default() }
    }

    /// Loss and gradient of pieces.
    fn learned(pieces: Vec<Vec<Piece>>) -> (f64, Tensor) {
        let mut objective = objective();
        let loss = objective.likelihood(pieces, 5);
        let params = objective.team.params().named();
        (loss, Tensor::cat(&params.iter().map(|(_, p)| p.grad().flatten(0, -1)).collect::<Vec<_>>(), 0))
    }

    #[test]
    fn grouped_and_padded_pieces_teach_the_same() {
        let (short, long) = (ensemble("AA"), ensemble("ARIP"));
        let group = |of: &Ensemble, rows: i64| Piece {
            x: of.train.narrow(0, 0, rows),
            conditioning: of.subject.conditioning.to_device(Device::Cpu),
        };
        let mixed = [(&short, 0), (&long, 1), (&short, 2), (&short, 1), (&long, 0)];
        let rows = mixed.map(|(of, i)| (of, of.train.narrow(0, i, 1)));

        let (loss, gradient) = learned(vec![vec![group(&short, 3), group(&long, 2)]]);
        assert!(loss.is_finite() && gradient.abs().max().double_value(&[]) > 1e-3);
        for padded in [vec![together(&rows)], vec![together(&rows[..2]), together(&rows[2..])]] {
            let (other, same) = learned(vec![padded]);
            assert!((loss - other).abs() < 1e-10 * loss.abs(), "{loss} {other}");
            let off = (&gradient - same).abs().max().double_value(&[]);
            assert!(off < 1e-10, "{off}");
        }
    }

    /// Every frame of a batch without its padding, in order.
    fn frames(dealt: &[Vec<Piece>]) -> Vec<Vec<f64>> {
        let mut all = Vec::new();
        for piece in dealt.iter().flatten() {
            for i in 0..piece.x.size()[0] {
                let x = piece.x.get(i);
                let atoms = piece.conditioning.mask.as_ref().map(|m| m.get(i).sum(Kind::Int64).int64_value(&[]));
                let x = x.narrow(0, 0, atoms.unwrap_or(x.size()[0]));
                all.push(Vec::try_from(x.contiguous().view([-1])).unwrap());
            }
        }
        all
    }

    #[test]
    fn shares_divide_a_batch_and_do_not_change_it() {
        let ensembles = [ensemble("AA"), ensemble("ARIP")];
        for batching in [Batching::Grouped { molecules: 2 }, Batching::Grouped { molecules: 3 }, Batching::Padded {}] {
            let dealt = |workers: i64, rows: i64| {
                reseed(5, Stream::Train, 0);
                draw(&ensembles, 11, &batching, &Augment::default(), Shares { workers, rows })
            };
            let whole = frames(&dealt(1, 100));
            assert_eq!(whole.len(), 11);
            for (workers, rows) in [(1, 4), (2, 100), (3, 100), (3, 2)] {
                let dealt = dealt(workers, rows);
                let sizes: Vec<i64> = dealt.iter().map(|own| own.iter().map(|p| p.x.size()[0]).sum()).collect();
                assert!(sizes.len() == workers as usize && sizes.iter().all(|n| *n <= (11 + workers - 1) / workers));
                assert!(dealt.iter().flatten().all(|piece| (1..=rows).contains(&piece.x.size()[0])));
                assert_eq!(frames(&dealt), whole, "{workers} {rows} {batching:?}");
            }
        }
    }

    #[test]
    fn a_batch_has_no_molecule_twice_while_there_are_others() {
        // The third is told from the first by its frames, all zero.
        let zeros = Tensor::zeros([2, 23, 3], (Kind::Double, Device::Cpu));
        let ensembles = [ensemble("AA"), ensemble("ARIP"), Ensemble { train: zeros, ..ensemble("AA") }];
        let name = |piece: &Piece| (piece.x.size()[1], piece.x.abs().max().double_value(&[]) == 0.0);
        let mut seen = std::collections::BTreeSet::new();
        for step in 0..30 {
            reseed(2, Stream::Train, step);
            for (molecules, distinct) in [(1, 1), (2, 2), (3, 3), (6, 3)] {
                let batching = Batching::Grouped { molecules };
                let dealt = draw(&ensembles, 6, &batching, &PLAIN, Shares { workers: 1, rows: 100 });
                let names: Vec<_> = dealt[0].iter().map(name).collect();
                seen.extend(names.clone());
                let unlike: std::collections::BTreeSet<_> = names.iter().collect();
                assert_eq!((names.len(), unlike.len()), (molecules as usize, distinct), "{names:?}");
            }
        }
        assert_eq!(seen.len(), 3);
    }
}
