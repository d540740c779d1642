//! Figures over several tasks (Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
//! NeurIPS 2021). Scores are `[run][task]` or one list a task; all are oriented so that more is better.

use super::ranks::probability_of_improvement;
use super::{mean, median};

/// The mean of the middle half: a quarter of the values is cut from either end, rounded down.
pub fn interquartile_mean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// How far scores fall short of `goal` on average; what exceeds it does not count.
pub fn optimality_gap(values: &[f64], goal: f64) -> f64 {
    values.iter().map(|v| goal - v.min(goal)).sum::<f64>() / values.len() as f64
}

/// The median over tasks of the mean over runs; `tasks` holds one list a task.
pub fn median_of_means(tasks: &[Vec<f64>]) -> f64 {
    median(&tasks.iter().map(|task| mean(task)).collect::<Vec<_>>())
}

/// Mean over tasks of the chance that a run of `x` exceeds one of `y`.
pub fn mean_probability_of_improvement(x: &[Vec<f64>], y: &[Vec<f64>]) -> f64 {
    mean(&x.iter().zip(y).map(|(x, y)| probability_of_improvement(x, y)).collect::<Vec<_>>())
}

/// The share of all scores above each threshold: a performance profile.
pub fn profile(values: &[f64], thresholds: &[f64]) -> Vec<f64> {
    let above = |threshold: &f64| values.iter().filter(|v| *v > threshold).count() as f64 / values.len() as f64;
    thresholds.iter().map(above).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_move_the_interquartile_mean() {
        assert_eq!(interquartile_mean(&[1e9, 1.0, 2.0, 3.0, -1e9]), 2.0);
        assert_eq!(interquartile_mean(&[4.0, 2.0]), 3.0);
        assert!(interquartile_mean(&[]).is_nan());
    }

    #[test]
    fn gaps_profiles_and_medians() {
        assert_eq!(optimality_gap(&[0.5, 2.0], 1.0), 0.25);
        assert_eq!(profile(&[0.0, 1.0, 2.0, 3.0], &[-1.0, 1.0, 5.0]), [1.0, 0.5, 0.0]);
        assert_eq!(median_of_means(&[vec![1.0, 3.0], vec![10.0], vec![0.0]]), 2.0);
        assert_eq!(mean_probability_of_improvement(&[vec![1.0], vec![0.0]], &[vec![0.0], vec![0.0]]), 0.75);
    }
}
