//! Adam's step, and the norm of gradients, in one pass over the numbers.
//!
//! Ten small tensor operations a parameter take longer than the arithmetic: a twentieth of an update of a small
//! transformer.

use tch::{Device, Kind, Tensor};

use super::vector::dispatched;

/// What one step (Kingma and Ba, 2015, algorithm 1) is made of.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Learning rate over the first moment's bias.
    pub rate: f64,
    /// Root of the second moment's bias.
    pub root_bias2: f64,
}

fn plain(t: &Tensor) -> bool {
    t.kind() == Kind::Float && t.device() == Device::Cpu && t.is_contiguous()
}

/// Sum of squares of a contiguous f32 tensor on the CPU; `None` for any other.
pub fn square_sum(t: &Tensor) -> Option<f64> {
    let mut sum = 0.0;
    if plain(t) {
        // SAFETY: a contiguous f32 tensor of so many elements on the CPU that outlives the slice.
        squares(unsafe { std::slice::from_raw_parts(t.data_ptr() as *const f32, t.numel()) }, &mut sum);
    }
    plain(t).then_some(sum)
}

dispatched!(squares, (x: &[f32], sum: &mut f64), {
    // Eight sums side by side: one alone would wait for itself.
    let mut lanes = [0.0f64; 8];
    for chunk in x.chunks(8) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*x) * f64::from(*x);
        }
    }
    *sum = lanes.iter().sum();
});

/// Takes the step in place if all four are contiguous f32 tensors of one size on the CPU; says whether it did.
pub fn step(c: Step, p: &Tensor, grad: &Tensor, m: &Tensor, v: &Tensor) -> bool {
    if ![p, grad, m, v].into_iter().all(|t| plain(t) && t.numel() == p.numel()) {
        return false;
    }
    let (count, data) = (p.numel(), |t: &Tensor| t.data_ptr() as *mut f32);
    // SAFETY: four different contiguous f32 tensors of `count` elements on the CPU that outlive the slices.
    unsafe {
        let all = |t: &Tensor| std::slice::from_raw_parts_mut(data(t), count);
        walk(all(p), std::slice::from_raw_parts(data(grad), count), all(m), all(v), c);
    }
    true
}

dispatched!(walk, (p: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32], c: Step), {
    let (rise1, keep2, rise2) = ((1.0 - c.beta1) as f32, c.beta2 as f32, (1.0 - c.beta2) as f32);
    let (eps, rate, root) = (c.eps as f32, c.rate as f32, 1.0 / c.root_bias2 as f32);
    for (((p, g), m), v) in p.iter_mut().zip(grad).zip(m).zip(v) {
        *m += rise1 * (g - *m);
        *v = keep2 * *v + rise2 * (g * g);
        *p -= rate * (*m / (v.sqrt() * root + eps));
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_add_up() {
        let x = Tensor::randn([101], (Kind::Float, Device::Cpu));
        let exact = x.to_kind(Kind::Double).square().sum(Kind::Double).double_value(&[]);
        assert!((square_sum(&x).unwrap() - exact).abs() < 1e-12 * exact);
        assert_eq!(square_sum(&Tensor::zeros([0], (Kind::Float, Device::Cpu))), Some(0.0));
        assert_eq!(square_sum(&x.to_kind(Kind::Double)), None);
        assert!(square_sum(&Tensor::from_slice(&[1.0f32, f32::NAN])).unwrap().is_nan());
    }

    #[test]
    fn is_the_formula_and_leaves_other_kinds_alone() {
        let c = Step { beta1: 0.9, beta2: 0.999, eps: 1e-8, rate: 1e-2 / 0.271, root_bias2: 0.0547 };
        let (p, g) = (Tensor::randn([37], (Kind::Float, Device::Cpu)), Tensor::randn([37], (Kind::Float, Device::Cpu)));
        let (m, v) = (p.rand_like(), p.rand_like());
        let [p64, g64, m64, v64] = [&p, &g, &m, &v].map(|t| t.to_kind(Kind::Double));
        assert!(!step(c, &p64, &g64, &m64, &v64));

        assert!(step(c, &p, &g, &m, &v));
        let (m64, v64) = (&m64 * 0.9 + &g64 * 0.1, &v64 * 0.999 + g64.square() * 0.001);
        let p64 = &p64 - &m64 / (v64.sqrt() / c.root_bias2 + c.eps) * c.rate;
        for (found, expected) in [(&p, &p64), (&m, &m64), (&v, &v64)] {
            assert!((found.to_kind(Kind::Double) - expected).abs().max().double_value(&[]) < 1e-6);
        }
    }
}
