//! Attention of one new token over the keys and values of those before it.

use super::gemm::LANES;
use super::rows::softmax;

/// Keys `[M, H, d, T]` and values `[M, H, T, d]` of one layer. Keys lie across, so that one token's scores against all
/// others are sums over contiguous memory.
pub struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
    heads: usize,
    width: usize,
    /// Tokens, padded to whole registers.
    tokens: usize,
}

impl Cache {
    pub fn new(rows: usize, heads: usize, width: usize, tokens: usize) -> Self {
        let tokens = tokens.next_multiple_of(LANES);
        let size = rows * heads * width * tokens;
        Self { keys: vec![0.0; size], values: vec![0.0; size], heads, width, tokens }
    }

    /// Enters token `i` of row `m`, given its `[q | k | v]`, and writes what it attends to into `out` `[C]`.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    pub fn attend(&mut self, m: usize, i: usize, qkv: &[f32], scores: &mut [f32], out: &mut [f32]) {
        let (width, tokens, channels) = (self.width, self.tokens, self.heads * self.width);
        let scale = 1.0 / (width as f32).sqrt();
        for head in 0..self.heads {
            let part = |which: usize| &qkv[which * channels + head * width..][..width];
            let (q, k, v) = (part(0), part(1), part(2));
            let start = (m * self.heads + head) * width * tokens;
            let keys = &mut self.keys[start..][..width * tokens];
            let values = &mut self.values[start..][..width * tokens];
            values[i * width..][..width].copy_from_slice(v);

            // Scores of a whole number of registers; those beyond token i are not looked at.
            let seen = (i + 1).next_multiple_of(LANES);
            let scores = &mut scores[..seen];
            scores.fill(0.0);
            for ((keys, k), q) in keys.chunks_exact_mut(tokens).zip(k).zip(q) {
                keys[i] = *k;
                let q = q * scale;
                for (score, key) in scores.iter_mut().zip(&keys[..seen]) {
                    *score = q.mul_add(*key, *score);
                }
            }
            let weights = &mut scores[..i + 1];
            softmax(weights);
            let out = &mut out[head * width..][..width];
            out.fill(0.0);
            for (weight, value) in weights.iter().zip(values.chunks_exact(width)) {
                for (out, value) in out.iter_mut().zip(value) {
                    *out = weight.mul_add(*value, *out);
                }
            }
        }
    }
}
