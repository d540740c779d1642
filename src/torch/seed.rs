//! Step-keyed seeds: libtorch's generator state can be neither read nor restored, so every step starts from a seed
//! computed from (run seed, stream, step). A resumed run then draws what the uninterrupted one would have drawn, and
//! evaluating more often does not change training.

/// Independent sources of randomness within one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Train = 1,
    Eval = 2,
    Data = 3,
    Init = 4,
}

/// The seed of one step of one stream: a SplitMix64 finaliser over the three numbers.
pub fn step_seed(run_seed: u64, stream: Stream, step: u64) -> u64 {
    let keyed = mix(run_seed).wrapping_add(stream as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mix(mix(keyed).wrapping_add(step))
}

/// Starts libtorch's generators (CPU and CUDA) at the given step of the stream.
pub fn reseed(run_seed: u64, stream: Stream, step: u64) {
    tch::manual_seed(step_seed(run_seed, stream, step) as i64);
}

/// One output of Steele, Lea and Flood's SplitMix64 generator (OOPSLA 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn seeds_of_streams_and_steps_differ() {
        let mut seen = HashSet::new();
        for run in 0..4 {
            for stream in [Stream::Train, Stream::Eval, Stream::Data, Stream::Init] {
                for step in 0..1000 {
                    assert!(seen.insert(step_seed(run, stream, step)));
                }
            }
        }
    }

    #[test]
    fn the_same_step_draws_the_same_numbers() {
        let draw = || {
            reseed(7, Stream::Train, 42);
            Vec::<f64>::try_from(tch::Tensor::randn([5], (tch::Kind::Double, tch::Device::Cpu))).unwrap()
        };
        assert_eq!(draw(), draw());
    }
}
