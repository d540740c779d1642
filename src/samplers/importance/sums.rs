//! Sums of weights that need no more memory than a few numbers, whatever their number and range.

/// `log Σ exp(v)` of all values pushed so far.
#[derive(Debug, Clone, Copy)]
pub struct LogSum {
    largest: f64,
    /// `Σ exp(v - largest)`.
    sum: f64,
}

impl Default for LogSum {
    fn default() -> Self {
        Self { largest: f64::NEG_INFINITY, sum: 0.0 }
    }
}

impl LogSum {
    /// Adds a term; returns by what earlier terms are multiplied from now on.
    pub fn push(&mut self, v: f64) -> f64 {
        if v <= self.largest {
            self.sum += if v == self.largest { 1.0 } else { (v - self.largest).exp() };
            return 1.0;
        }
        let shrink = (self.largest - v).exp();
        (self.largest, self.sum) = (v, self.sum * shrink + 1.0);
        shrink
    }

    /// `-∞` of nothing.
    pub fn value(&self) -> f64 {
        if self.sum == 0.0 { f64::NEG_INFINITY } else { self.largest + self.sum.ln() }
    }
}

/// Number, sum and sum of squares of weights.
#[derive(Debug, Clone, Copy, Default)]
pub struct WeightSums {
    pub count: usize,
    first: LogSum,
    second: LogSum,
}

impl WeightSums {
    /// Sums of `exp(log_weights)`.
    pub fn of(log_weights: &[f64]) -> Self {
        let mut sums = Self::default();
        log_weights.iter().for_each(|l| sums.push(*l));
        sums
    }

    /// `-∞` is a weight of zero.
    pub fn push(&mut self, log_weight: f64) {
        self.count += 1;
        if log_weight > f64::NEG_INFINITY {
            self.first.push(log_weight);
            self.second.push(2.0 * log_weight);
        }
    }

    /// `log Σ w`.
    pub fn log_sum(&self) -> f64 {
        self.first.value()
    }

    /// `log (Σ w / N)`.
    pub fn log_mean(&self) -> f64 {
        self.first.value() - (self.count as f64).ln()
    }

    /// `(Σ w)² / Σ w²`, between 1 and N; 0 where no weight is positive.
    pub fn ess(&self) -> f64 {
        // The largest of the squares is the square of the largest, so the scales cancel to the last bit.
        if self.second.sum > 0.0 { self.first.sum.powi(2) / self.second.sum } else { 0.0 }
    }

    /// [`ess`](Self::ess) over N: sampling efficiency.
    pub fn normalised_ess(&self) -> f64 {
        self.ess() / self.count as f64
    }
}

/// Running means of D observables under weights known only by their logarithms.
#[derive(Debug, Clone)]
pub struct WeightedMean {
    weights: LogSum,
    /// `Σ w f` and `Σ w f²`, scaled by the largest weight.
    first: Vec<f64>,
    second: Vec<f64>,
}

impl WeightedMean {
    /// For `dim` observables.
    pub fn new(dim: usize) -> Self {
        Self { weights: LogSum::default(), first: vec![0.0; dim], second: vec![0.0; dim] }
    }

    /// Adds the observables of one proposal; one of weight zero adds nothing, whatever they are.
    pub fn push(&mut self, values: &[f64], log_weight: f64) {
        if log_weight == f64::NEG_INFINITY || log_weight.is_nan() {
            return;
        }
        let shrink = self.weights.push(log_weight);
        let weight = (log_weight - self.weights.largest).exp();
        for ((first, second), value) in self.first.iter_mut().zip(&mut self.second).zip(values) {
            *first = *first * shrink + weight * value;
            *second = *second * shrink + weight * value * value;
        }
    }

    /// `Σ w f / Σ w`, NaN of nothing.
    pub fn mean(&self) -> Vec<f64> {
        self.first.iter().map(|sum| sum / self.weights.sum).collect()
    }

    /// Weighted variance about the mean.
    pub fn variance(&self) -> Vec<f64> {
        let moments = self.first.iter().zip(&self.second);
        moments.map(|(a, b)| (b / self.weights.sum - (a / self.weights.sum).powi(2)).max(0.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_depend_on_order_or_range() {
        let values = [-5000.0, 3.0, 2.0, 700.0, f64::NEG_INFINITY, 699.0];
        let mut backwards = values;
        backwards.reverse();
        let (a, b) = (WeightSums::of(&values), WeightSums::of(&backwards));
        let expected = 700.0 + (1.0 + (-1.0_f64).exp()).ln();
        assert!((a.log_sum() - expected).abs() < 1e-12 && (b.log_sum() - expected).abs() < 1e-12);
        let e = (-1.0_f64).exp();
        assert!((a.ess() - (1.0 + e).powi(2) / (1.0 + e * e)).abs() < 1e-12);
        assert_eq!((a.count, WeightSums::of(&[f64::NEG_INFINITY]).normalised_ess()), (6, 0.0));
        assert!((WeightSums::of(&[-1e4; 7]).normalised_ess() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn means_equal_those_of_stored_weights() {
        let points = [(1.0, 0.0), (2.0, 900.0), (f64::NAN, f64::NEG_INFINITY), (4.0, 901.0), (8.0, -900.0)];
        let mut running = WeightedMean::new(1);
        points.iter().for_each(|(value, log_weight)| running.push(&[*value], *log_weight));
        let w = (-1.0_f64).exp();
        let mean = (2.0 * w + 4.0) / (w + 1.0);
        assert!((running.mean()[0] - mean).abs() < 1e-12);
        let variance = (4.0 * w + 16.0) / (w + 1.0) - mean * mean;
        assert!((running.variance()[0] - variance).abs() < 1e-12);
    }
}
