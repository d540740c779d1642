//! The random streams that define some published targets.
//!
//! Several benchmark densities have "random" component means drawn once from a seeded generator of another library;
//! whoever wants the same density needs the same stream. Both generators are written here from their published
//! algorithms, so that any dimension and seed is reproduced and the run's own generator is never touched.

use serde::{Deserialize, Serialize};

/// How JAX turns a key and a shape into 32-bit words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum JaxStream {
    /// The default before JAX 0.5, the one behind published numbers: counters are split into two halves that are
    /// enciphered as pairs.
    #[default]
    #[serde(rename = "jax_legacy")]
    Legacy,
    /// `jax_threefry_partitionable`, the default since JAX 0.5: each 64-bit counter is enciphered alone.
    #[serde(rename = "jax_partitionable")]
    Partitionable,
}

/// Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
/// SC 2011): enciphers one pair of counters under a key.
fn threefry_2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    const SKEIN_PARITY: u32 = 0x1BD1_1BDA;
    let keys = [key[0], key[1], key[0] ^ key[1] ^ SKEIN_PARITY];

    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(rotation) ^ x[0];
        }
        // The key is injected after every fourth round, with the number of the injection.
        x[0] = x[0].wrapping_add(keys[(group + 1) % 3]);
        x[1] = x[1].wrapping_add(keys[(group + 2) % 3]).wrapping_add(group as u32 + 1);
    }
    x
}

/// The first `n` words of `jax.random.bits(jax.random.PRNGKey(seed), (n,))`, 32 bits each.
fn jax_bits(seed: u32, n: usize, stream: JaxStream) -> Vec<u32> {
    let key = [0, seed];
    match stream {
        JaxStream::Legacy => {
            // An odd count is padded with one zero counter, whose word is dropped.
            let half = n.div_ceil(2);
            let second = |i: usize| if half + i < n { (half + i) as u32 } else { 0 };
            let pairs: Vec<_> = (0..half).map(|i| threefry_2x32(key, [i as u32, second(i)])).collect();
            let words = pairs.iter().map(|p| p[0]).chain(pairs.iter().map(|p| p[1]));
            words.take(n).collect()
        }
        JaxStream::Partitionable => {
            let word = |i: usize| threefry_2x32(key, [((i as u64) >> 32) as u32, i as u32]);
            (0..n).map(|i| word(i).iter().fold(0, |bits, w| bits ^ w)).collect()
        }
    }
}

/// `jax.random.uniform(jax.random.PRNGKey(seed), (n,), minval=low, maxval=high)`, float32, bit for bit.
pub fn jax_uniform(seed: u32, n: usize, low: f32, high: f32, stream: JaxStream) -> Vec<f32> {
    let unit = |bits: u32| f32::from_bits((bits >> 9) | 1.0f32.to_bits()) - 1.0;
    // XLA contracts the product and the sum into one rounding; every fourth number depends on it.
    let scaled = |bits: u32| unit(bits).mul_add(high - low, low).max(low);
    jax_bits(seed, n, stream).into_iter().map(scaled).collect()
}

/// `torch.manual_seed(seed); torch.rand(n)` on the CPU, float32, bit for bit: the 24 low bits of MT19937's words.
pub fn torch_uniform(seed: u32, n: usize) -> Vec<f32> {
    let mut words = Mt19937::new(seed);
    (0..n).map(|_| (words.next() & 0x00FF_FFFF) as f32 / (1 << 24) as f32).collect()
}

/// The Mersenne twister of Matsumoto and Nishimura (ACM TOMACS 8, 1998) with their 2002 initialisation.
struct Mt19937 {
    state: [u32; Self::N],
    next: usize,
}

impl Mt19937 {
    const N: usize = 624;
    const M: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [seed; Self::N];
        for i in 1..Self::N {
            let previous = state[i - 1];
            state[i] = (previous ^ (previous >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: Self::N }
    }

    fn next(&mut self) -> u32 {
        if self.next == Self::N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C_5680;
        y ^= (y << 15) & 0xEFC6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..Self::N {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % Self::N] & 0x7FFF_FFFF);
            let odd = if joined & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[i] = self.state[(i + Self::M) % Self::N] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors published with Random123 for threefry2x32, 20 rounds.
    #[test]
    fn threefry_gives_the_known_answers() {
        assert_eq!(threefry_2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry_2x32([u32::MAX; 2], [u32::MAX; 2]), [0x1cb9_96fc, 0xbb00_2be7]);
        let pi = threefry_2x32([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(pi, [0xc492_3a9c, 0x483d_f7a0]);
    }

    /// The 10 000th word under the reference seed 5489 is stated in the C++ standard.
    #[test]
    fn the_twister_gives_the_standard_word() {
        let mut words = Mt19937::new(5489);
        let last = (0..10_000).map(|_| words.next()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
