//! Values of a law at the states of a file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use tch::Device;

use crate::io::tensors::{read_tensors, take, write_tensors};
use crate::targets::lattice::{DiscreteTarget, encode, evaluate};

/// Reads `x` `[N, D]` (values such as -1 and +1, whole numbers of any kind) and writes `log_prob` `[N]` and
/// `log_ratios` `[N, D, S]`: what a site's change to each of its S values, in rising order, adds to `log_prob`.
/// Returns the number of states.
pub fn at_points(target: &dyn DiscreteTarget, points: &Path, out: &Path, yaml: &str, device: Device) -> Result<i64> {
    let x = take(points, &mut read_tensors(points)?, "x")?;
    let states = encode(target, &x, &format!("{}: tensor 'x'", points.display()))?;
    let (log_prob, ratios) = evaluate(target, &states, device);
    let provenance = BTreeMap::from([("config".to_string(), yaml.to_string())]);
    write_tensors(out, &[("log_prob", &log_prob), ("log_ratios", &ratios)], &provenance)?;
    Ok(x.size()[0])
}
