//! What one asks of a density without running a sampler: values at many points, whether its score is its slope.

use tch::{Device, Kind, Tensor};

use super::Target;

/// Rows evaluated at once, which bounds the memory of pairwise energies.
const CHUNK: i64 = 4096;

/// `log_prob` `[N]` and `score` `[N, D]` at `x` `[N, D]`, computed in pieces on `device` and returned on the CPU.
pub fn evaluate(target: &dyn Target, x: &Tensor, device: Device) -> (Tensor, Tensor) {
    // At least one piece, so that no points give empty tensors of the right shapes.
    let starts = (0..x.size()[0].max(1)).step_by(CHUNK as usize);
    let pieces = starts.map(|start| {
        let rows = x.narrow(0, start, CHUNK.min(x.size()[0] - start)).to_device(device);
        (target.log_prob(&rows).to_device(Device::Cpu), target.score(&rows).to_device(Device::Cpu))
    });
    let (log_prob, score): (Vec<Tensor>, Vec<Tensor>) = pieces.unzip();
    (Tensor::cat(&log_prob, 0), Tensor::cat(&score, 0))
}

/// `n` random points where the density can be probed, `[n, D]` in `options`: its own samples where it has them, else
/// normal numbers, for particles wide enough that few come close to each other.
pub fn probe_points(target: &dyn Target, n: i64, options: super::Options) -> Tensor {
    target.sample(n).unwrap_or_else(|| {
        let spread = target.particles().map_or(1.0, |(particles, space)| (particles as f64).powf(1.0 / space as f64));
        Tensor::randn([n, target.dim()], options) * spread
    })
}

/// Where score and slope differ most.
#[derive(Debug, Clone, Copy)]
pub struct SlopeError {
    /// Difference relative to the largest entry of the score at that point, or to 1 if that is smaller.
    pub relative: f64,
    pub point: i64,
    pub coordinate: i64,
}

/// Compares the score with central differences of `log_prob` along every coordinate, at f64 points `[N, D]`.
///
/// The step is 1e-5, or 1e-5 of a coordinate larger than 1: errors of 1e-8 and below are the differences' own.
pub fn slope_error(target: &dyn Target, x: &Tensor) -> SlopeError {
    let mut worst = SlopeError { relative: 0.0, point: 0, coordinate: 0 };
    for point in 0..x.size()[0] {
        let row = x.narrow(0, point, 1); // [1, D]
        let step = row.abs().clamp_min(1.0) * 1e-5;
        let shifts = Tensor::diag_embed(&step, 0, -2, -1).squeeze_dim(0); // [D, D]
        let (above, below) = (target.log_prob(&(&row + &shifts)), target.log_prob(&(&row - &shifts)));
        let slope = (above - below) / (step.squeeze_dim(0) * 2.0); // [D]

        let score = target.score(&row).squeeze_dim(0);
        let scale = score.abs().max().clamp_min(1.0);
        // A NaN must count as the largest error, not vanish in a maximum.
        let error = ((score - slope).abs() / scale).nan_to_num(f64::INFINITY, f64::INFINITY, None);
        let coordinate = error.argmax(0, false).int64_value(&[]);
        let relative = error.to_kind(Kind::Double).double_value(&[coordinate]);
        if relative > worst.relative {
            worst = SlopeError { relative, point, coordinate };
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `-x^4 / 4` a coordinate, with a score that may be wrong in the last one.
    struct Quartic {
        wrong: f64,
    }

    impl Target for Quartic {
        fn dim(&self) -> i64 {
            3
        }

        fn log_prob(&self, x: &Tensor) -> Tensor {
            x.square().square().sum_dim_intlist(-1, false, None) * -0.25
        }

        fn score(&self, x: &Tensor) -> Tensor {
            -(x.square() * x) + Tensor::from_slice(&[0.0, 0.0, self.wrong])
        }
    }

    const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

    #[test]
    fn a_wrong_score_is_found_where_it_is() {
        let x = Tensor::linspace(-1.0, 1.5, 12, F64).view([4, 3]);
        assert!(slope_error(&Quartic { wrong: 0.0 }, &x).relative < 1e-9);
        let found = slope_error(&Quartic { wrong: 1e-3 }, &x);
        assert!(found.coordinate == 2 && found.relative > 2e-4 && found.relative < 1.1e-3, "{found:?}");
        assert!(slope_error(&Quartic { wrong: f64::NAN }, &x).relative.is_infinite());
    }

    #[test]
    fn pieces_make_up_the_whole() {
        let target = Quartic { wrong: 0.0 };
        let x = (Tensor::arange(3 * 5000, F64) * 0.7).sin().view([5000, 3]);
        let (log_prob, score) = evaluate(&target, &x, Device::Cpu);
        assert!(log_prob.equal(&target.log_prob(&x)) && score.equal(&target.score(&x)));
        let (none, empty) = evaluate(&target, &x.narrow(0, 0, 0), Device::Cpu);
        assert_eq!((none.size(), empty.size()), (vec![0], vec![0, 3]));
    }
}
