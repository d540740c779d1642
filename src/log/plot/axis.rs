//! Axes: from values to positions, and where the ticks go.

/// What a person says about an axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Axis {
    pub label: String,
    pub log: bool,
    /// Limits; from the data if absent.
    pub range: Option<(f64, f64)>,
    /// Whether values are whole numbers, with no ticks between them.
    pub whole: bool,
}

impl Axis {
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: true, ..Self::default() }
    }

    /// Of whole numbers, such as counts.
    pub fn counts(label: impl Into<String>) -> Self {
        Self { label: label.into(), whole: true, ..Self::default() }
    }

    /// With fixed limits; what lies outside is cut off.
    pub fn within(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }
}

/// A tick with its label; minor ticks have none.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// In [0, 1] along the axis.
    pub position: f64,
    pub label: Option<String>,
}

/// A map from values to [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    log: bool,
    /// Limits, logarithms of them on a logarithmic axis; low < high.
    low: f64,
    high: f64,
    whole: bool,
}

impl Scale {
    /// Fits the axis' limits, or else the data that can be shown on it with `margin` (a fraction) on both sides.
    pub fn fit(axis: &Axis, data: impl Iterator<Item = f64>, margin: f64) -> Self {
        let transform = |v: f64| if axis.log { v.log10() } else { v };
        if let Some((low, high)) = axis.range {
            let (low, high) = (transform(low.min(high)), transform(low.max(high)));
            if low.is_finite() && high.is_finite() && low < high {
                return Self { log: axis.log, low, high, whole: axis.whole };
            }
        }

        let limits = data.map(transform).filter(|v| v.is_finite()).fold(None, |limits, v| match limits {
            None => Some((v, v)),
            Some((low, high)) => Some((v.min(low), v.max(high))),
        });
        let (low, high) = limits.unwrap_or((0.0, 1.0));
        // Constant data get room in proportion to their size.
        let spread = high - low;
        let room = if spread > 1e-12 * high.abs().max(low.abs()) {
            spread * margin
        } else if axis.log {
            0.5
        } else if low == 0.0 {
            1.0
        } else {
            (low.abs() * 0.1).max(1e-290)
        };
        // Differences of limits must stay finite.
        let bound = |v: f64| v.clamp(-f64::MAX / 4.0, f64::MAX / 4.0);
        Self { log: axis.log, low: bound(low - room), high: bound(high + room), whole: axis.whole }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end; `None` for what the axis cannot show at all.
    pub fn position(&self, value: f64) -> Option<f64> {
        let v = if self.log { value.log10() } else { value };
        let position = (v - self.low) / (self.high - self.low);
        position.is_finite().then_some(position)
    }

    /// The value at a position.
    pub fn value(&self, position: f64) -> f64 {
        let v = self.low + (self.high - self.low) * position;
        if self.log { 10f64.powf(v) } else { v }
    }

    /// The limits as values.
    pub fn limits(&self) -> (f64, f64) {
        (self.value(0.0), self.value(1.0))
    }

    /// Ticks, at most about `max_labels` of them labelled, and the power of ten by which the labels are to be
    /// multiplied (0 for none).
    pub fn ticks(&self, max_labels: usize) -> (Vec<Tick>, i32) {
        let decades = self.high - self.low;
        if self.log && decades >= 0.7 { (self.log_ticks(max_labels), 0) } else { self.linear_ticks(max_labels) }
    }

    fn linear_ticks(&self, max_labels: usize) -> (Vec<Tick>, i32) {
        let (low, high) = self.limits();
        let step = nice_step((high - low) / max_labels.max(1) as f64);
        let step = if self.whole { step.max(1.0) } else { step };
        let largest = low.abs().max(high.abs());
        let magnitude = largest.log10().floor() as i32;
        let power = if (-3..5).contains(&magnitude) { 0 } else { magnitude };

        // As many decimals as tell neighbouring ticks apart: 0.25 needs one more than its power of ten.
        let unit = step / 10f64.powi(power);
        let decimals = (0..12).find(|d| is_whole(unit * 10f64.powi(*d))).unwrap_or(12) as usize;
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let tick = |i: i64| {
            let label = signed(&format!("{:.decimals$}", i as f64 * unit));
            Some(Tick { position: self.position(i as f64 * step)?, label: Some(label) })
        };
        ((first..=last.min(first + 100)).filter_map(tick).collect(), power)
    }

    fn log_ticks(&self, max_labels: usize) -> Vec<Tick> {
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        let whole_decades = self.high.floor() - self.low.ceil() + 1.0;
        let stride = (whole_decades / max_labels.max(1) as f64).ceil().max(1.0) as i32;
        // Few decades leave room for labels between them.
        let labelled: &[i32] = match whole_decades as i32 {
            ..2 => &[1, 2, 5],
            2 if max_labels > 5 => &[1, 3],
            _ => &[1],
        };

        // One way of writing for the whole axis.
        let plain = self.low > -2.5 && self.high < 4.5;
        let mut ticks = Vec::new();
        for decade in first..=last {
            let digits = if stride == 1 { 1..=9 } else { 1..=1 };
            for digit in digits {
                let exact = (f64::from(digit).log10() + f64::from(decade) - self.low) / (self.high - self.low);
                if (-1e-9..=1.0 + 1e-9).contains(&exact) {
                    let label = labelled.contains(&digit) && decade % stride == 0;
                    ticks.push(Tick { position: exact, label: label.then(|| power_label(digit, decade, plain)) });
                }
            }
        }
        ticks
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let nice = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|m| m * power >= least * (1.0 - 1e-9));
    nice.unwrap_or(10.0) * power
}

fn is_whole(v: f64) -> bool {
    (v - v.round()).abs() < 1e-6 * v.abs().max(1.0)
}

/// A digit times a power of ten, plainly or with a raised exponent.
fn power_label(digit: i32, exponent: i32, plain: bool) -> String {
    match (plain, digit) {
        (true, _) => format!("{:.*}", (-exponent).max(0) as usize, f64::from(digit) * 10f64.powi(exponent)),
        (false, 1) => format!("10{}", superscript(exponent)),
        (false, _) => format!("{digit}×10{}", superscript(exponent)),
    }
}

/// With a proper minus sign, and no sign before zero.
fn signed(number: &str) -> String {
    let zero = number.chars().all(|c| matches!(c, '-' | '0' | '.'));
    number.replace('-', if zero { "" } else { "−" })
}

/// An exponent in raised digits.
pub fn superscript(exponent: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = |c: char| c.to_digit(10).map_or('⁻', |d| DIGITS[d as usize]);
    exponent.to_string().chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, data: &[f64], max: usize) -> (Vec<String>, i32) {
        let (ticks, power) = Scale::fit(axis, data.iter().copied(), 0.0).ticks(max);
        (ticks.into_iter().filter_map(|t| t.label).collect(), power)
    }

    #[test]
    fn linear_labels_are_round_and_distinct() {
        let x = Axis::linear("");
        assert_eq!(
            labels(&x, &[0.0, 1.0], 5),
            (["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"].map(String::from).to_vec(), 0)
        );
        assert_eq!(labels(&x, &[-2.0, 2.0], 5), (["−2", "−1", "0", "1", "2"].map(String::from).to_vec(), 0));
        assert_eq!(labels(&x, &[0.0, 4e5], 4), (["0", "1", "2", "3", "4"].map(String::from).to_vec(), 5));
        assert_eq!(labels(&x, &[0.0, 1e-7], 2), (["0.0", "0.5", "1.0"].map(String::from).to_vec(), -7));
        assert_eq!(labels(&x, &[100.0, 100.5], 2), (["100.00", "100.25", "100.50"].map(String::from).to_vec(), 0));
    }

    #[test]
    fn logarithmic_labels() {
        let y = Axis::log("");
        assert_eq!(labels(&y, &[1e-6, 1e3], 5).0, ["10⁻⁶", "10⁻⁴", "10⁻²", "10⁰", "10²"]);
        assert_eq!(labels(&y, &[1.0, 60.0], 6).0, ["1", "3", "10", "30"]);
        assert_eq!(labels(&y, &[2.0, 12.0], 6).0, ["2", "5", "10"]);
        // Less than a decade: as on a linear axis.
        assert_eq!(labels(&y, &[2.0, 4.0], 4).0, ["2.0", "2.5", "3.0", "3.5", "4.0"]);
    }

    #[test]
    fn any_data_give_a_proper_scale() {
        let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let data: [&[f64]; 7] = [&[], &bad, &[0.0], &[5.0; 3], &[-1e300, 1e300], &[f64::MIN, f64::MAX], &[1e-320]];
        for log in [false, true] {
            for values in data {
                let axis = Axis { log, ..Axis::default() };
                let scale = Scale::fit(&axis, values.iter().copied(), 0.05);
                assert!(scale.low < scale.high, "{log} {values:?} {scale:?}");
                let (ticks, _) = scale.ticks(6);
                assert!(ticks.len() >= 2 && ticks.len() < 120, "{log} {values:?} {ticks:?}");
                assert!(ticks.iter().all(|t| (-1e-6..=1.000001).contains(&t.position)));
            }
        }
    }

    #[test]
    fn positions_and_values_invert() {
        let scale = Scale::fit(&Axis::log("").within(1e-3, 1e3), std::iter::empty(), 0.0);
        assert!((scale.position(1.0).unwrap() - 0.5).abs() < 1e-12);
        assert!((scale.value(0.5) - 1.0).abs() < 1e-12);
        assert_eq!(scale.position(0.0), None);
        assert_eq!(scale.position(-1.0), None);
    }
}
