//! One layer of a block, packed for single tokens of a few rows.

use tch::Tensor;

use super::cache::Cache;
use super::gemm::{Packed, multiply};
use super::rows::{Affine, add, add_gated, gelu, normalise, normalise_in_place, swiglu};
use crate::flows::attention::Transformer;
use crate::flows::block::{Layer, LayerTerms};
use crate::flows::leaves::Norm;
use crate::flows::prose::Modulated;
use crate::nets::linear::Linear;

/// A layer's parameters, and what it takes from the molecules.
pub struct PackedLayer {
    attention_norm: Affine,
    qkv: Packed,
    qk_norms: Option<(Affine, Affine)>,
    projection: Packed,
    mlp_norm: Affine,
    up: Packed,
    down: Packed,
    transition: Option<(Packed, Packed)>,
    terms: Terms,
    eps: f32,
}

/// [`LayerTerms`] as numbers, `[U, T, C]` each.
enum Terms {
    Modulated { transformer: Around, transition: Option<Around> },
    Added(Vec<f32>),
}

struct Around {
    scale: Vec<f32>,
    shift: Vec<f32>,
    gate: Vec<f32>,
}

/// Working memory of one share of the rows.
pub struct Scratch {
    /// What the layers pass on, `[M, C]`.
    pub h: Vec<f32>,
    /// Each row's place in the terms, `[M]`.
    pub places: Vec<usize>,
    inner: Vec<f32>,
    normal: Vec<f32>,
    wide: Vec<f32>,
    active: Vec<f32>,
    scores: Vec<f32>,
}

impl Scratch {
    pub fn new(rows: usize, channels: usize, tokens: usize, layers: &[PackedLayer]) -> Self {
        let widest = layers.iter().map(PackedLayer::widest).max().unwrap_or(0);
        let zeros = |width: usize| vec![0.0; rows * width];
        Self {
            h: zeros(channels),
            places: vec![0; rows],
            inner: zeros(channels),
            normal: zeros(channels),
            wide: zeros(widest),
            active: zeros(widest),
            scores: vec![0.0; tokens.next_multiple_of(super::gemm::LANES)],
        }
    }
}

impl PackedLayer {
    pub fn new(layer: &Layer, terms: &LayerTerms) -> Self {
        let (transformer, transition, terms) = match (layer, terms) {
            (Layer::Prose(layer), LayerTerms::Prose(terms)) => {
                let around = terms.transition.as_ref().map(Around::new);
                let terms = Terms::Modulated { transformer: Around::new(&terms.transformer), transition: around };
                let transition = layer.transition.as_ref();
                let pack = |w: &Tensor| Packed::new(w, None);
                (&layer.transformer, transition.map(|t| (pack(&t.up), pack(&t.down))), terms)
            }
            (Layer::Tarflow(layer), LayerTerms::Tarflow(added)) => {
                (&layer.transformer, None, Terms::Added(numbers(added)))
            }
            _ => unreachable!("terms were prepared by another network"),
        };
        Self::pack(transformer, transition, terms)
    }

    fn pack(transformer: &Transformer, transition: Option<(Packed, Packed)>, terms: Terms) -> Self {
        let pack = |linear: &Linear| Packed::new(&linear.weight, Some(&linear.bias));
        let norms = transformer.qk_norms.as_ref();
        Self {
            attention_norm: affine(&transformer.norm),
            qkv: pack(&transformer.qkv),
            qk_norms: norms.map(|(q, k)| (affine(q), affine(k))),
            projection: pack(&transformer.projection),
            mlp_norm: affine(&transformer.mlp_norm),
            up: pack(&transformer.up),
            down: pack(&transformer.down),
            transition,
            terms,
            eps: transformer.norm.eps as f32,
        }
    }

    fn widest(&self) -> usize {
        let transition = self.transition.as_ref().map_or(0, |(up, _)| up.width());
        self.qkv.width().max(self.up.width()).max(transition)
    }

    /// Token `i` of every row: `s.h` to the same.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    pub fn step(&self, s: &mut Scratch, cache: &mut Cache, i: usize) {
        match &self.terms {
            Terms::Added(added) => {
                let channels = self.attention_norm.bias.len();
                for (h, place) in s.h.chunks_exact_mut(channels).zip(&s.places) {
                    add(h, &added[*place..][..channels]);
                }
                s.inner.copy_from_slice(&s.h);
                self.transform(s, cache, i);
                s.h.copy_from_slice(&s.inner);
            }
            Terms::Modulated { transformer, transition } => {
                transformer.enter(&s.h, &s.places, self.eps, &mut s.inner);
                self.transform(s, cache, i);
                transformer.leave(&mut s.h, &s.places, &s.inner);
                if let (Some(around), Some((up, down))) = (transition, &self.transition) {
                    around.enter(&s.h, &s.places, self.eps, &mut s.inner);
                    multiply(&s.inner, s.places.len(), up, &mut s.wide);
                    let halves = s.wide.chunks_exact(up.width()).zip(s.active.chunks_exact_mut(up.width() / 2));
                    halves.for_each(|(wide, active)| swiglu(wide, active));
                    multiply(&s.active, s.places.len(), down, &mut s.inner);
                    around.leave(&mut s.h, &s.places, &s.inner);
                }
            }
        }
    }

    /// The transformer block on `s.inner`, both residuals included.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    fn transform(&self, s: &mut Scratch, cache: &mut Cache, i: usize) {
        let (rows, channels) = (s.places.len(), self.attention_norm.bias.len());
        self.norm_rows(&self.attention_norm, &s.inner, &mut s.normal);
        multiply(&s.normal, rows, &self.qkv, &mut s.wide);
        let mixed = s.wide.chunks_exact_mut(self.qkv.width()).zip(s.normal.chunks_exact_mut(channels));
        for (m, (qkv, out)) in mixed.enumerate().take(rows) {
            if let Some((q_norm, k_norm)) = &self.qk_norms {
                normalise_in_place(&mut qkv[..channels], q_norm, self.eps);
                normalise_in_place(&mut qkv[channels..2 * channels], k_norm, self.eps);
            }
            cache.attend(m, i, qkv, &mut s.scores, out);
        }
        multiply(&s.normal, rows, &self.projection, &mut s.active);
        add(&mut s.inner, &s.active);

        self.norm_rows(&self.mlp_norm, &s.inner, &mut s.normal);
        multiply(&s.normal, rows, &self.up, &mut s.wide);
        gelu(&mut s.wide[..rows * self.up.width()]);
        multiply(&s.wide, rows, &self.down, &mut s.active);
        add(&mut s.inner, &s.active);
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    fn norm_rows(&self, norm: &Affine, x: &[f32], out: &mut [f32]) {
        let channels = norm.bias.len();
        for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            normalise(x, &norm.weight, &norm.bias, self.eps, out);
        }
    }
}

impl Around {
    fn new(terms: &Modulated) -> Self {
        Self { scale: numbers(&terms.scale), shift: numbers(&terms.shift), gate: numbers(&terms.gate) }
    }

    /// `out = norm(h) scale + shift`, row by row.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    fn enter(&self, h: &[f32], places: &[usize], eps: f32, out: &mut [f32]) {
        let channels = h.len() / places.len();
        for ((h, out), place) in h.chunks_exact(channels).zip(out.chunks_exact_mut(channels)).zip(places) {
            normalise(h, &self.scale[*place..][..channels], &self.shift[*place..][..channels], eps, out);
        }
    }

    /// `h += gate y`, row by row.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    fn leave(&self, h: &mut [f32], places: &[usize], y: &[f32]) {
        let channels = h.len() / places.len();
        for ((h, y), place) in h.chunks_exact_mut(channels).zip(y.chunks_exact(channels)).zip(places) {
            add_gated(h, &self.gate[*place..][..channels], y);
        }
    }
}

fn affine(norm: &Norm) -> Affine {
    Affine { weight: numbers(&norm.weight), bias: numbers(&norm.bias) }
}

/// All numbers of an f32 tensor, row-major.
pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    let mut numbers = vec![0.0; tensor.numel()];
    tensor.detach().contiguous().copy_data(&mut numbers, tensor.numel());
    numbers
}
