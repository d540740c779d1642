//! Named parameters in the order of their creation. libtorch's own variable store keeps them in a hash map (another
//! order every run), renames duplicates silently and forbids dots; here names are PyTorch's, dots and all.

use std::cell::RefCell;

use tch::{Device, Kind, Tensor};

/// The parameters of one model: leaves that require gradients, each under a unique dotted name.
pub struct Params {
    entries: RefCell<Vec<(String, Tensor)>>,
    kind: Kind,
    device: Device,
}

impl Params {
    pub fn new(kind: Kind, device: Device) -> Self {
        Self { entries: RefCell::new(Vec::new()), kind, device }
    }

    pub fn root(&self) -> Scope<'_> {
        Scope { params: self, path: String::new() }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn device(&self) -> Device {
        self.device
    }

    /// Every parameter with its name, in the order of creation. The tensors share memory with the model's.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        self.entries.borrow().iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect()
    }

    /// The parameters whose name starts with `prefix`.
    pub fn under(&self, prefix: &str) -> Vec<(String, Tensor)> {
        self.named().into_iter().filter(|(name, _)| name.starts_with(prefix)).collect()
    }

    /// Makes the parameters of `replica`, a model of the same shape, views of these; gradients stay its own.
    pub fn share_with(&self, replica: &Params) {
        for ((_, original), (_, mut copy)) in self.named().into_iter().zip(replica.named()) {
            copy.set_data(&original.detach());
        }
    }

    /// Adds a replica's gradients to these and clears them.
    pub fn take_gradients(&self, replica: &Params) {
        let _guard = tch::no_grad_guard();
        for ((_, into), (_, from)) in self.named().iter().zip(replica.named()) {
            let (mut sum, mut part) = (into.grad(), from.grad());
            if part.defined() {
                sum += &part;
                let _ = part.zero_();
            }
        }
    }

    /// Number of scalars in all parameters.
    pub fn count(&self) -> i64 {
        self.entries.borrow().iter().map(|(_, t)| t.numel() as i64).sum()
    }
}

/// A place in the tree of parameter names.
#[derive(Clone)]
pub struct Scope<'a> {
    params: &'a Params,
    path: String,
}

impl Scope<'_> {
    /// The scope `name` below this one; numbers are fine, as in PyTorch's `layers.0`.
    pub fn sub(&self, name: impl std::fmt::Display) -> Self {
        Self { params: self.params, path: self.join(&name.to_string()) }
    }

    /// Registers a parameter that starts at `value` (cast to the model's kind and device).
    ///
    /// Panics if the name is taken: two layers built at one place are a bug.
    pub fn parameter(&self, name: &str, value: Tensor) -> Tensor {
        let full = self.join(name);
        let mut entries = self.params.entries.borrow_mut();
        assert!(entries.iter().all(|(taken, _)| *taken != full), "parameter '{full}' is registered twice");
        let leaf = value.detach().to_kind(self.params.kind).to_device(self.params.device).copy();
        let leaf = leaf.set_requires_grad(true);
        entries.push((full, leaf.shallow_clone()));
        leaf
    }

    pub fn kind(&self) -> Kind {
        self.params.kind
    }

    pub fn device(&self) -> Device {
        self.params.device
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}
