//! Convolutions whose kernel differs from site to site.

use tch::{Device, Kind, Tensor};

use crate::nets::linear::Linear;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Features of the time network.
const TIME_WIDTH: i64 = 64;

/// Surroundings of every site, the site itself blotted out.
pub struct Patches {
    /// `[B, D, 1 or C, K]`.
    taps: Tensor,
}

impl Patches {
    /// `lattice` `[B, 1 or C, L, L]` in squares of side `kernel`; `all` `[B, D, 1]` is one more tap.
    pub fn new(lattice: &Tensor, kernel: i64, all: Option<&Tensor>) -> Self {
        let (b, c, side, _) = lattice.size4().expect("[B, C, L, L]");
        let around = wrap(lattice, kernel / 2);
        let squares = around.unfold(2, kernel, 1).unfold(3, kernel, 1); // [B, C, L, L, k, k]
        let taps = squares.permute([0, 2, 3, 1, 4, 5]).reshape([b, side * side, c, kernel * kernel]);
        let mask = Tensor::ones([kernel * kernel], (taps.kind(), taps.device()));
        let _ = mask.get(kernel * kernel / 2).fill_(0.0);
        let taps = taps * mask;
        Self { taps: all.map_or_else(|| taps.shallow_clone(), |all| Tensor::cat(&[&taps, &all.unsqueeze(3)], 3)) }
    }
}

/// The sum of all other sites over the square root of their number: `[B, C, L, L]` -> `[B, D, C]`.
pub fn others(lattice: &Tensor) -> Tensor {
    let sites = lattice.flatten(2, 3); // [B, C, D]
    let count = sites.size()[2] as f64 - 1.0;
    // Spins are whole numbers, so their sum less one of them is what the others add up to, to the last bit.
    let sum = sites.sum_dim_intlist(2, true, None::<Kind>) - &sites;
    sum.transpose(1, 2) / count.max(1.0).sqrt()
}

/// The torus cut open with `margin` more rows and columns on every side.
pub fn wrap(lattice: &Tensor, margin: i64) -> Tensor {
    let extend = |x: &Tensor, axis: i64| {
        let n = x.size()[axis as usize];
        let index = (Tensor::arange(n + 2 * margin, (Kind::Int64, x.device())) - margin).remainder(n);
        x.index_select(axis, &index)
    };
    extend(&extend(lattice, 2), 3)
}

/// `h_l(s) = sum_i (silu(sum_c A_lic z_c(s) + b1_li) + b2_li + tau_i(t)) x_l(s + i)`, the centre i = 0 left out.
pub struct Layer {
    /// `[C, K, C]`, `[C, K]` and `[C, K]`.
    a: Tensor,
    b1: Tensor,
    b2: Tensor,
    time: [Linear; 3],
    pub kernel: i64,
}

impl Layer {
    /// `global`: whether there is one tap more than the square's.
    pub fn new(scope: Scope, channels: i64, kernel: i64, global: bool) -> Self {
        let (c, k, options) = (channels, kernel * kernel + i64::from(global), (Kind::Float, Device::Cpu));
        let small = |size: &[i64]| Tensor::rand(size, options) * 0.002;
        let time = scope.sub("mlp.mlp");
        let linear = |i: i64, fan_in, out| Linear::new(time.sub(i), fan_in, out, Init::PyTorch);
        Self {
            a: scope.parameter("A", small(&[c, k, c]) / kernel as f64),
            b1: scope.parameter("b1", small(&[c, k])),
            b2: scope.parameter("b2", small(&[c, k])),
            time: [linear(0, 1, TIME_WIDTH), linear(2, TIME_WIDTH, TIME_WIDTH), linear(4, TIME_WIDTH, k)],
            kernel,
        }
    }

    /// `patches` of the lattice, `t` `[B]` and `z` `[B, D, C]` -> `[B, D, C]`.
    pub fn forward(&self, patches: &Patches, t: &Tensor, z: &Tensor) -> Tensor {
        let taps = &patches.taps;
        let (b, d, channels, k) = taps.size4().expect("[B, D, C, K]");
        let c = z.size()[2];

        // The part of the kernel that the features shape: the one large tensor of the network.
        let rows = z.reshape([b * d, c]);
        let shaped = self.b1.view([c * k]).addmm(&rows, &self.a.view([c * k, c]).tr()).silu(); // [B D, C K]
        let shaped = shaped.view([b * d, c, k]);
        let flat = taps.view([b * d, channels, k]);
        let bent = if channels == 1 {
            shaped.bmm(&flat.transpose(1, 2)).view([b, d, c])
        } else {
            (shaped * flat).sum_dim_intlist(2, false, None::<Kind>).view([b, d, c])
        };

        // The rest is the same at all sites, so it needs no kernel a site.
        let plain = if channels == 1 {
            taps.squeeze_dim(2).matmul(&self.b2.tr()) // [B, D, C]
        } else {
            (taps * &self.b2).sum_dim_intlist(3, false, None::<Kind>)
        };
        let timed = taps.view([b, d * channels, k]).bmm(&self.time_taps(t)).view([b, d, channels]);
        bent + plain + timed
    }

    /// `tau(t)` `[B, K, 1]`.
    fn time_taps(&self, t: &Tensor) -> Tensor {
        let [first, second, third] = &self.time;
        let hidden = second.forward(&first.forward(&t.unsqueeze(1)).silu()).silu();
        third.forward(&hidden).unsqueeze(2)
    }
}
