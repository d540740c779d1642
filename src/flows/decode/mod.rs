//! The sequential inverse on the CPU, without tensors.
//!
//! A step of the inverse moves one token through all layers: products of a few rows with large matrices, and a dozen
//! small operations between. libtorch spends more time repacking matrices and on allocating results than on arithmetic
//! there; here matrices are packed once a block, keys and values stay in place, and rows are shared among workers.

// Indexed loops over rows and lanes are the form that vectorises.
#![allow(clippy::needless_range_loop)]

mod cache;
mod gemm;
mod layer;
mod rows;

use tch::{Device, Kind, Tensor};

use super::block::{Block, BlockTerms};
use crate::torch::threads;
use cache::Cache;
use gemm::{LANES, Packed, multiply};
use layer::{PackedLayer, Scratch, numbers};

/// One block, ready to be inverted for given molecules.
struct Decoder {
    layers: Vec<PackedLayer>,
    /// The input layer's weight, a row a coordinate: `[3, C]`.
    proj_in: Vec<f32>,
    /// `[T, C]`.
    offset: Vec<f32>,
    proj_out: Packed,
    /// `[U, T]`.
    mask: Option<Vec<f32>>,
    /// `U`.
    molecules: usize,
    heads: usize,
    channels: usize,
    tokens: usize,
}

/// `(x, log_det)` for the block's inverse at `y` `[B, L, 3]`, both in the block's order; `None` where this processor,
/// device, precision or width is not served.
pub fn decode(block: &Block, terms: &BlockTerms, y: &Tensor) -> Option<(Tensor, Tensor)> {
    let channels = block.proj_in.weight.size()[0];
    let plain = y.kind() == Kind::Float && y.device() == Device::Cpu && channels % LANES as i64 == 0;
    if !plain || !is_served() || y.numel() == 0 {
        return None;
    }
    let (batch, width) = (y.size()[0] as usize, 3 * y.size()[1] as usize);
    let decoder = Decoder::new(block, terms);
    let mut x = numbers(y);
    let mut log_det = vec![0f64; batch];

    let share = batch.div_ceil(threads::workers());
    let shares = x.chunks_mut(share * width).zip(log_det.chunks_mut(share)).enumerate();
    let shares = shares.map(|(s, (x, log_det))| (s * share, x, log_det));
    // SAFETY: the processor has the instructions.
    let run = |(first, x, log_det): (usize, &mut [f32], &mut [f64])| unsafe { decoder.run(first, x, log_det) };
    threads::each(shares.collect(), run, || ());
    Some((Tensor::from_slice(&x).view_as(y), Tensor::from_slice(&log_det)))
}

/// Registers of 512 bits: the tiles of [`gemm`] need 32 of them.
fn is_served() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("fma")
}

impl Decoder {
    fn new(block: &Block, terms: &BlockTerms) -> Self {
        let (tokens, channels) = (terms.offset.size()[0] as usize, terms.offset.size()[1] as usize);
        let layers = block.layers.iter().zip(&terms.layers).map(|(layer, terms)| PackedLayer::new(layer, terms));
        Self {
            layers: layers.collect(),
            proj_in: numbers(&block.proj_in.weight.tr()),
            offset: numbers(&terms.offset),
            proj_out: Packed::new(&block.proj_out.weight, Some(&block.proj_out.bias)),
            mask: terms.mask.as_ref().map(numbers),
            molecules: terms.molecules() as usize,
            heads: block.heads as usize,
            channels,
            tokens,
        }
    }

    /// Turns rows of `y` (in `x`, `3 L` numbers each) into rows of x, one token after the other; `first` is the number
    /// of the first row in the batch.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    fn run(&self, first: usize, x: &mut [f32], log_det: &mut [f64]) {
        let (rows, width) = (log_det.len(), 3 * (self.tokens + 1));
        let cache = |_| Cache::new(rows, self.heads, self.channels / self.heads, self.tokens);
        let mut caches: Vec<Cache> = (0..self.layers.len()).map(cache).collect();
        let mut s = Scratch::new(rows, self.channels, self.tokens, &self.layers);
        let mut out = vec![0f32; rows * self.proj_out.width()];

        for i in 0..self.tokens {
            for m in 0..rows {
                s.places[m] = self.place(first + m, i) * self.channels;
                self.enter(&x[m * width + 3 * i..][..3], i, &mut s.h[m * self.channels..][..self.channels]);
            }
            for (layer, cache) in self.layers.iter().zip(&mut caches) {
                layer.step(&mut s, cache, i);
            }
            multiply(&s.h, rows, &self.proj_out, &mut out);
            for m in 0..rows {
                let real = self.mask.as_ref().map_or(1.0, |mask| mask[self.place(first + m, i)]);
                let out = &out[m * self.proj_out.width()..][..6];
                let next = &mut x[m * width + 3 * (i + 1)..][..3];
                for a in 0..3 {
                    let scale = out[a] * real;
                    next[a] = next[a] * scale.exp() + out[3 + a] * real;
                    log_det[m] += f64::from(scale);
                }
            }
        }
    }

    /// Where terms of token `i` of a row stand among all molecules' tokens.
    fn place(&self, row: usize, i: usize) -> usize {
        let molecule = if self.molecules == 1 { 0 } else { row };
        molecule * self.tokens + i
    }

    /// The input layer and the position embedding.
    fn enter(&self, atom: &[f32], i: usize, h: &mut [f32]) {
        let weights = |a: usize| &self.proj_in[a * self.channels..][..self.channels];
        let (w0, w1, w2) = (weights(0), weights(1), weights(2));
        let offset = &self.offset[i * self.channels..][..self.channels];
        for c in 0..h.len() {
            h[c] = offset[c] + atom[0] * w0[c] + atom[1] * w1[c] + atom[2] * w2[c];
        }
    }
}
