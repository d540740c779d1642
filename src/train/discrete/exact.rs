//! Exact figures of a law, by name.

use anyhow::Result;

use crate::targets::lattice::exact::{Exact, solve};
use crate::targets::lattice::{DiscreteTarget, LatticeConfig};

/// A method's name, and its figures under the names that sampled ones have.
pub type Figures = (&'static str, Vec<(String, f64)>);

/// The exact figures; `None` where no method exists.
pub fn figures(config: &LatticeConfig, target: &dyn DiscreteTarget) -> Result<Option<Figures>> {
    Ok(solve(config, target)?.map(|exact| (exact.method, named(&exact, target))))
}

fn named(exact: &Exact, target: &dyn DiscreteTarget) -> Vec<(String, f64)> {
    let sites = target.sites() as f64;
    let mut figures = vec![("log_z".to_string(), exact.log_z), ("log_z_per_site".to_string(), exact.log_z / sites)];
    let optional = [
        ("energy", exact.energy),
        ("energy_per_site", exact.energy.map(|energy| energy / sites)),
        ("energy_variance", exact.energy_variance),
        ("magnetisation", exact.magnetisation),
        ("abs_magnetisation", exact.abs_magnetisation),
        ("magnetisation2", exact.magnetisation2),
        ("magnetisation4", exact.magnetisation4),
    ];
    figures.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))));
    let two_point = exact.two_point.iter().flatten().enumerate().skip(1);
    figures.extend(two_point.map(|(r, value)| (format!("two_point_{r}"), *value)));
    figures
}
