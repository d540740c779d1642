//! Exponential moving average of parameters: the weights one evaluates and ships.

use tch::Tensor;

/// A smoothed copy of named parameters.
pub struct Ema {
    decay: f64,
    shadow: Vec<(String, Tensor)>,
    source: Vec<Tensor>,
}

impl Ema {
    /// Starts the average at the parameters' present values.
    pub fn new(params: &[(String, Tensor)], decay: f64) -> Self {
        let shadow = params.iter().map(|(name, p)| (name.clone(), p.detach().copy())).collect();
        Self { decay, shadow, source: params.iter().map(|(_, p)| p.shallow_clone()).collect() }
    }

    /// `shadow <- decay shadow + (1 - decay) parameter`.
    pub fn update(&mut self) {
        let _guard = tch::no_grad_guard();
        for ((_, shadow), source) in self.shadow.iter_mut().zip(&self.source) {
            let _ = shadow.lerp_(&source.detach(), 1.0 - self.decay);
        }
    }

    /// The averaged tensors with their names; they share memory with the average.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        self.shadow.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect()
    }

    /// Runs `f` with the averaged values in the model's parameters, then puts the raw ones back.
    pub fn with<T>(&mut self, f: impl FnOnce() -> T) -> T {
        self.swap();
        let result = f();
        self.swap();
        result
    }

    fn swap(&mut self) {
        let _guard = tch::no_grad_guard();
        for ((_, shadow), source) in self.shadow.iter_mut().zip(&self.source) {
            let mut live = source.detach();
            let raw = live.copy();
            live.copy_(shadow);
            shadow.copy_(&raw);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_lags_and_swapping_restores() {
        let mut p = Tensor::from_slice(&[1.0f64]);
        let mut ema = Ema::new(&[("p".into(), p.shallow_clone())], 0.9);
        let _ = p.fill_(2.0);
        ema.update();
        let inside = ema.with(|| p.double_value(&[0]));
        assert!((inside - 1.1).abs() < 1e-12);
        assert_eq!(p.double_value(&[0]), 2.0);
    }
}
