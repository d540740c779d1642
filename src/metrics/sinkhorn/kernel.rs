//! Half-steps of Sinkhorn's algorithm for ε comparable to the costs: scaling iterations on a dense kernel.
//!
//! With reference potentials absorbed into the kernel, `K_ij = exp((f⁰_i + g⁰_j - c_ij) / ε)`, a half-step is one
//! matrix-vector product instead of N·M exponentials. The references move along when the potentials leave them
//! (the stabilised scaling of Schmitzer 2019, section 3.1), so nothing over- or underflows.

use tch::{Kind, Tensor};

use super::iterate::HalfSteps;

/// Potentials further than this many ε from the references are absorbed; far from the f64 range of exp(±700).
const ABSORB: f64 = 200.0;

pub(super) struct Kernel {
    cost: Tensor,
    absorbed: Option<Absorbed>,
}

/// The kernel at some reference potentials.
struct Absorbed {
    epsilon: f64,
    f: Tensor,
    g: Tensor,
    kernel: Tensor,
}

impl Kernel {
    /// `cost` is `[N, M]`, f64, finite.
    pub fn new(cost: &Tensor) -> Self {
        Self { cost: cost.shallow_clone(), absorbed: None }
    }

    /// The half-step onto axis 0 (rows) or 1 (columns) from the other side's potential.
    fn step(&mut self, potential: &[f64], epsilon: f64, axis: usize) -> Vec<f64> {
        let potential = Tensor::from_slice(potential).to_device(self.cost.device());
        let out = match self.scaled(&potential, epsilon, axis) {
            Some(out) => out,
            None => self.absorb(&potential, epsilon, axis),
        };
        let mut values = vec![0.0; out.size()[0] as usize];
        let count = values.len();
        out.copy_data(&mut values, count);
        values
    }

    /// One product with the kernel; `None` where the references are too far for it to be exact.
    fn scaled(&self, potential: &Tensor, epsilon: f64, axis: usize) -> Option<Tensor> {
        let at = self.absorbed.as_ref().filter(|at| at.epsilon == epsilon)?;
        let (to, from, kernel) = match axis {
            0 => (&at.f, &at.g, at.kernel.shallow_clone()),
            _ => (&at.g, &at.f, at.kernel.tr()),
        };
        let shift = (potential - from) / epsilon;
        if shift.abs().max().double_value(&[]) > ABSORB {
            return None;
        }
        let mass = kernel.mv(&shift.exp());
        let safe = mass.min().double_value(&[]) > 1e-150;
        safe.then(|| to - epsilon * (&mass * mass.size()[0] as f64).log())
    }

    /// The half-step in the log domain; its result and its argument become the references.
    fn absorb(&mut self, potential: &Tensor, epsilon: f64, axis: usize) -> Tensor {
        let cost = if axis == 0 { self.cost.shallow_clone() } else { self.cost.tr() };
        let log_mass = ((potential - cost) / epsilon).logsumexp([1i64].as_slice(), false);
        let out = -epsilon * (&log_mass + (log_mass.size()[0] as f64).ln());

        let (f, g) = if axis == 0 { (&out, potential) } else { (potential, &out) };
        let kernel = ((f.unsqueeze(1) + g - &self.cost) / epsilon).exp(); // [N, M]
        self.absorbed = Some(Absorbed { epsilon, f: f.shallow_clone(), g: g.shallow_clone(), kernel });
        out
    }
}

impl HalfSteps for Kernel {
    fn rows(&mut self, g: &[f64], epsilon: f64) -> Vec<f64> {
        self.step(g, epsilon, 0)
    }

    fn columns(&mut self, f: &[f64], epsilon: f64) -> Vec<f64> {
        self.step(f, epsilon, 1)
    }

    fn transport_cost(&self, f: &[f64], g: &[f64], epsilon: f64) -> f64 {
        let device = self.cost.device();
        let (f, g) = (Tensor::from_slice(f).to_device(device), Tensor::from_slice(g).to_device(device));
        let plan = ((f.unsqueeze(1) + g - &self.cost) / epsilon).exp(); // [N, M]
        (plan * &self.cost).sum(Kind::Double).double_value(&[])
    }
}
