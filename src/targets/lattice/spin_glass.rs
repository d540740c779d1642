//! Ising spins with couplings from a file.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::super::{Broadcast, Options};
use super::PairTarget;
use super::ising::{SPIN_VALUES, SPINS};
use super::pair::{Interaction, PairModel};
use super::torus::Bond;
use crate::bad_input;
use crate::config::check;
use crate::io::tensors::{read_tensors, take};

/// Most sites: with more, a matrix of couplings would not fit into memory.
const MOST_SITES: i64 = 16_384;

/// `log_prob = beta sum over pairs i < j of J_ij s_i s_j + sum over sites of field_i s_i`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpinGlassConfig {
    /// A tensor file (safetensors, .npz, .pt) with the couplings.
    pub path: PathBuf,
    /// Name of the couplings: a symmetric matrix `[D, D]`, or `[E]` for the bonds that `edges` names.
    #[serde(default = "standard_name")]
    pub couplings: String,
    /// Name of the bonds `[E, 2]`, sites from 0.
    #[serde(default)]
    pub edges: Option<String>,
    /// Which row of the couplings, where they are `[instances, E]` or `[instances, D, D]`.
    #[serde(default)]
    pub instance: Option<i64>,
    /// Inverse temperature.
    pub beta: f64,
    /// Field in nats: one number, or one a site.
    #[serde(default = "no_field")]
    pub field: Broadcast,
    /// Name of a tensor `[D]` in the file that is added to `field`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
}

fn standard_name() -> String {
    "J".to_string()
}

fn no_field() -> Broadcast {
    Broadcast::Scalar(0.0)
}

/// Checks the keys and reads the file. A square number of sites counts as a square lattice in pictures.
pub fn spin_glass(config: &SpinGlassConfig, options: Options) -> Result<PairTarget> {
    check::finite("target.beta", config.beta)?;
    let edges = config.edges.as_deref();
    let found = read_couplings(&config.path, &config.couplings, edges, config.instance, "target.path")?;
    if found.strengths.is_some() {
        let (path, name) = (config.path.display(), &config.couplings);
        return Err(bad_input!(
            "{path}: tensor '{name}' lists bonds; name their ends by 'target.edges', or give [D, D]"
        ));
    }
    let sites = found.sites as i64;
    let mut field = config.field.resolve("target.field", sites)?;
    if let Some(name) = &config.fields {
        let own = read_fields(&config.path, name, sites)?;
        field.iter_mut().zip(own).for_each(|(field, own)| *field += own);
    }

    let bias = field.iter().flat_map(|h| [-h, *h]).collect();
    let model = PairModel::new(2, Interaction::Product(SPINS), config.beta, found.bonds, bias)
        .map_err(|error| bad_input!("{}: {error}", config.path.display()))?;
    let side = (sites as f64).sqrt().round() as i64;
    Ok(PairTarget::new(model, SPIN_VALUES.to_vec(), (side * side == sites).then_some((side, side)), options))
}

/// One finite number a site.
fn read_fields(path: &Path, name: &str, sites: i64) -> Result<Vec<f64>> {
    let (file, tensor) = (path.display(), take(path, &mut read_tensors(path)?, name)?);
    if tensor.size() != [sites] {
        return Err(bad_input!("{file}: tensor '{name}' has shape {:?}, expected [{sites}]", tensor.size()));
    }
    let fields = numbers(&tensor);
    match fields.iter().find(|field| !field.is_finite()) {
        Some(strange) => Err(bad_input!("{file}: tensor '{name}' holds {strange}, expected finite numbers")),
        None => Ok(fields),
    }
}

/// Couplings as a file has them.
pub(super) struct Found {
    pub sites: usize,
    pub bonds: Vec<Bond>,
    /// The strengths, where the file does not say what they bind.
    pub strengths: Option<Vec<f64>>,
}

/// Reads a matrix, a list with bonds, or a list alone. `key` is the config key that named the file.
pub(super) fn read_couplings(
    path: &Path,
    name: &str,
    edges: Option<&str>,
    instance: Option<i64>,
    key: &str,
) -> Result<Found> {
    let file = path.display();
    if !path.exists() {
        return Err(bad_input!("'{key}' names {file}, which is not there; expected a tensor file with '{name}'"));
    }
    let mut tensors = read_tensors(path)?;
    let mut couplings = take(path, &mut tensors, name)?;
    if let Some(row) = instance {
        let rows = if couplings.dim() < 2 { 0 } else { couplings.size()[0] };
        if !(0..rows).contains(&row) {
            return Err(bad_input!("{file}: tensor '{name}' has {rows} instances, 'target.instance' is {row}"));
        }
        couplings = couplings.get(row);
    }
    let size = couplings.size();
    match (size.as_slice(), edges) {
        ([n], Some(edges)) => {
            let ends = take(path, &mut tensors, edges)?;
            listed(&ends, &couplings, *n, &format!("{file}: tensor '{edges}'"))
        }
        ([_], None) => Ok(Found { sites: 0, bonds: Vec::new(), strengths: Some(numbers(&couplings)) }),
        ([n, m], None) if n == m => matrix(&couplings, &format!("{file}: tensor '{name}'")),
        _ => Err(bad_input!("{file}: tensor '{name}' has shape {size:?}, expected [D, D], or [E] with 'target.edges'")),
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_kind(Kind::Double).contiguous().view([-1]);
    let mut out = vec![0.0; flat.numel()];
    flat.copy_data(&mut out, flat.numel());
    out
}

fn listed(ends: &Tensor, couplings: &Tensor, count: i64, source: &str) -> Result<Found> {
    if ends.size() != [count, 2] {
        return Err(bad_input!("{source} has shape {:?}, expected [{count}, 2]", ends.size()));
    }
    let ends = numbers(ends);
    let wrong = |v: &&f64| !(**v >= 0.0 && **v < MOST_SITES as f64 && v.fract() == 0.0);
    if let Some(strange) = ends.iter().find(wrong) {
        return Err(bad_input!("{source} holds {strange}, expected sites from 0 to {}", MOST_SITES - 1));
    }
    let sites = ends.iter().fold(0.0, |most: f64, v| most.max(*v)) as usize + 1;
    let bonds = ends.chunks_exact(2).zip(numbers(couplings)).map(|(end, w)| (end[0] as u32, end[1] as u32, w));
    Ok(Found { sites, bonds: bonds.collect(), strengths: None })
}

fn matrix(couplings: &Tensor, source: &str) -> Result<Found> {
    let n = couplings.size()[0];
    if n == 0 || n > MOST_SITES {
        return Err(bad_input!("{source} has {n} rows, expected 1 to {MOST_SITES}"));
    }
    let (n, values) = (n as usize, numbers(couplings));
    let mut bonds = Vec::new();
    for i in 0..n {
        if values[i * n + i] != 0.0 {
            return Err(bad_input!("{source} has {} on its diagonal, expected 0", values[i * n + i]));
        }
        for j in i + 1..n {
            let (w, v) = (values[i * n + j], values[j * n + i]);
            if (w - v).abs() > 1e-6 * w.abs().max(v.abs()) {
                return Err(bad_input!("{source} is not symmetric: {w} at [{i}, {j}], {v} at [{j}, {i}]"));
            }
            if w != 0.0 {
                bonds.push((i as u32, j as u32, w));
            }
        }
    }
    Ok(Found { sites: n, bonds, strengths: None })
}
