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
