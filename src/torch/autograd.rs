//! Derivatives: the binding offers `run_backward` with a cotangent of ones and nothing more.

use tch::Tensor;

/// Gradients of `y.sum()` with respect to each of `xs`; zeros where `y` does not depend on an input.
///
/// With `create_graph` the gradients are themselves differentiable.
pub fn grad(y: &Tensor, xs: &[&Tensor], create_graph: bool) -> Vec<Tensor> {
    let y = if y.dim() == 0 { y.shallow_clone() } else { y.sum(y.kind()) };
    let grads = Tensor::run_backward(&[y], xs, create_graph, create_graph);
    let filled = grads.into_iter().zip(xs);
    filled.map(|(g, x)| if g.defined() { g } else { x.zeros_like() }).collect()
}

/// Value and gradient of a scalar-per-row function: `f` maps `[N, D]` to `[N]`; returns `([N], [N, D])`.
///
/// Rows must not interact. Differentiable further if `x` already requires a gradient; detached otherwise.
pub fn value_and_grad(x: &Tensor, f: impl Fn(&Tensor) -> Tensor) -> (Tensor, Tensor) {
    let differentiable = x.requires_grad();
    tch::with_grad(|| {
        let x = if differentiable { x.shallow_clone() } else { x.detach().set_requires_grad(true) };
        let value = f(&x);
        let g = grad(&value, &[&x], differentiable).remove(0);
        if differentiable { (value, g) } else { (value.detach(), g.detach()) }
    })
}

/// Vector-Jacobian product `v^T dy/dx` for `y = f(x)`; the shape of `x`.
pub fn vjp(y: &Tensor, x: &Tensor, v: &Tensor, create_graph: bool) -> Tensor {
    grad(&(y * v).sum(y.kind()), &[x], create_graph).remove(0)
}

/// [`vjp`] that leaves the graph for further calls and builds none of its own: one backward pass, no more.
pub fn vjp_again(y: &Tensor, x: &Tensor, v: &Tensor) -> Tensor {
    let pulled = Tensor::run_backward(&[(y * v).sum(y.kind())], &[x], true, false).remove(0);
    if pulled.defined() { pulled } else { x.zeros_like() }
}

/// Jacobian-vector product `(dy/dx) v`, by differentiating the vjp with respect to its (dummy) cotangent.
///
/// `y` must have been computed from `x` with its graph kept; the shape of `y`.
pub fn jvp(y: &Tensor, x: &Tensor, v: &Tensor, create_graph: bool) -> Tensor {
    let dummy = y.zeros_like().set_requires_grad(true);
    let pulled = grad(&(y * &dummy).sum(y.kind()), &[x], true).remove(0);
    if !pulled.requires_grad() {
        return y.zeros_like();
    }
    grad(&(pulled * v).sum(v.kind()), &[&dummy], create_graph).remove(0)
}

/// Hessian-vector product of a scalar-per-row function `[N, D] -> [N]`, row by row: `[N, D]`.
pub fn hvp(x: &Tensor, v: &Tensor, f: impl Fn(&Tensor) -> Tensor) -> Tensor {
    tch::with_grad(|| {
        let x = x.detach().set_requires_grad(true);
        let g = grad(&f(&x), &[&x], true).remove(0);
        if !g.requires_grad() {
            return x.zeros_like();
        }
        grad(&(g * v).sum(v.kind()), &[&x], false).remove(0).detach()
    })
}

/// Divergence of a vector field `[N, D] -> [N, D]` whose rows do not interact, `[N]`: one backward pass a coordinate.
pub fn divergence(x: &Tensor, field: impl Fn(&Tensor) -> Tensor) -> Tensor {
    tch::with_grad(|| {
        let x = x.detach().set_requires_grad(true);
        let y = field(&x);
        let mut total = Tensor::zeros([x.size()[0]], (x.kind(), x.device()));
        for i in 0..x.size()[1] {
            let yi = y.select(1, i).sum(y.kind());
            let g = &Tensor::run_backward(&[yi], &[&x], true, false)[0];
            if g.defined() {
                total += g.select(1, i);
            }
        }
        total.detach()
    })
}

/// Hutchinson's estimate of [`divergence`] with the given probes `[P, N, D]` (Rademacher or normal rows), `[N]`.
pub fn divergence_hutchinson(x: &Tensor, probes: &Tensor, field: impl Fn(&Tensor) -> Tensor) -> Tensor {
    tch::with_grad(|| {
        let x = x.detach().set_requires_grad(true);
        let y = field(&x);
        let count = probes.size()[0];
        let mut total = Tensor::zeros([x.size()[0]], (x.kind(), x.device()));
        for p in 0..count {
            let e = probes.select(0, p);
            let inner = (&y * &e).sum(y.kind());
            let g = &Tensor::run_backward(&[inner], &[&x], true, false)[0];
            if g.defined() {
                total += (g * &e).sum_dim_intlist(-1, false, g.kind());
            }
        }
        (total / count as f64).detach()
    })
}

/// A seam in the graph: many small backward passes end at the cut tensors, whose gradients add up there and then enter
/// the graph behind the seam once.
pub struct Cut {
    seams: Vec<(Tensor, Tensor)>,
}

impl Cut {
    /// Replaces each tensor that has a graph by a leaf of the same value.
    pub fn new(tensors: Vec<&mut Tensor>) -> Self {
        let mut seams = Vec::new();
        for tensor in tensors.into_iter().filter(|t| t.requires_grad()) {
            let leaf = tensor.detach().set_requires_grad(true);
            let live = std::mem::replace(tensor, leaf.shallow_clone());
            seams.push((live, leaf));
        }
        Self { seams }
    }

    /// Sends the gradients gathered at the leaves into the graph behind them.
    pub fn backward(self) {
        let gathered = self.seams.iter().filter(|(_, leaf)| leaf.grad().defined());
        let terms: Vec<Tensor> = gathered.map(|(live, leaf)| (live * leaf.grad()).sum(live.kind())).collect();
        if !terms.is_empty() {
            Tensor::stack(&terms, 0).sum(terms[0].kind()).backward();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

    fn close(a: &Tensor, b: &Tensor) {
        let error = (a - b).abs().max().double_value(&[]);
        assert!(error < 1e-10, "differs by {error}");
    }

    /// f(x) = sum sin(x) + x0 x1 has a Hessian one can write down.
    fn f(x: &Tensor) -> Tensor {
        x.sin().sum_dim_intlist(-1, false, x.kind()) + x.select(1, 0) * x.select(1, 1)
    }

    #[test]
    fn hessian_vector_products_match_the_formula() {
        let x = Tensor::linspace(-1.0, 1.0, 12, F64).view([4, 3]);
        let v = Tensor::linspace(0.5, 2.0, 12, F64).view([4, 3]);
        let mixed = v.index_select(1, &Tensor::from_slice(&[1i64, 0, 2])) * Tensor::from_slice(&[1.0, 1.0, 0.0]);
        close(&hvp(&x, &v, f), &(-x.sin() * &v + mixed));
    }

    #[test]
    fn jvp_and_vjp_are_transposes_of_each_other() {
        let w = Tensor::linspace(-1.0, 1.0, 6, F64).view([3, 2]);
        let x = Tensor::linspace(0.1, 0.9, 6, F64).view([2, 3]).set_requires_grad(true);
        let y = x.matmul(&w).tanh();
        let (v, u) = (Tensor::ones([2, 3], F64), Tensor::linspace(1.0, 2.0, 4, F64).view([2, 2]));
        let forward = (jvp(&y, &x, &v, false) * &u).sum(Kind::Double);
        let backward = (vjp(&y, &x, &u, false) * &v).sum(Kind::Double);
        close(&forward, &backward);
    }

    #[test]
    fn divergence_is_the_trace_and_hutchinson_is_exact_on_diagonal_fields() {
        let x = Tensor::linspace(-1.0, 1.0, 6, F64).view([2, 3]);
        let field = |x: &Tensor| x.pow_tensor_scalar(3);
        let exact = (x.square() * 3.0).sum_dim_intlist(-1, false, Kind::Double);
        close(&divergence(&x, field), &exact);
        let probes = Tensor::from_slice(&[1.0, -1.0, 1.0, -1.0, -1.0, 1.0]).view([1, 2, 3]);
        close(&divergence_hutchinson(&x, &probes, field), &exact);
    }

    #[test]
    fn an_unused_input_has_a_zero_gradient() {
        let x = Tensor::ones([2], F64).set_requires_grad(true);
        let y = Tensor::ones([2], F64).set_requires_grad(true);
        close(&grad(&x.square(), &[&x, &y], false)[1], &y.zeros_like());
    }
}
