//! How far conformations are from a reference ensemble.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::data::evenly;
use super::reference::Reference;
use super::subject::Subject;
use crate::metrics::energy::wasserstein_1d;
use crate::metrics::jensen_shannon;
use crate::metrics::transport::{Geometry, wasserstein2};
use crate::targets::molecule::descriptors::Descriptors;

/// Clusters of a Jensen-Shannon divergence, as published.
const CLUSTERS: usize = 20;

/// What conformations of a molecule are compared with, and how.
pub struct Comparison<'a> {
    pub subject: &'a Subject,
    pub reference: &'a Reference,
    /// nm.
    pub scale: f64,
    /// Points a side, at most.
    pub compared: i64,
    pub seed: u64,
}

impl Comparison<'_> {
    /// Distances of the rows `rows` of `x` `[N, A, 3]`, in units of the scale, with energies in kT; names end in `_name`
    /// unless it is empty. Nothing where there are no rows.
    pub fn figures(
        &self,
        x: &Tensor,
        energy: Option<&Tensor>,
        rows: &Tensor,
        name: &str,
    ) -> Result<Vec<(String, f64)>> {
        let n = self.compared.min(rows.size()[0]).min(self.reference.x.size()[0]);
        if n == 0 {
            return Ok(Vec::new());
        }
        // Resampled rows are in rising order: the first ones alone would be those of the first proposals.
        let rows = rows.index_select(0, &evenly(n, rows.size()[0]));
        let mut figures = self.energies(energy, &rows)?;
        figures.extend(self.shapes(&x.index_select(0, &rows))?);
        let separator = if name.is_empty() { "" } else { "_" };
        Ok(figures.into_iter().map(|(figure, value)| (format!("{figure}{separator}{name}"), value)).collect())
    }

    fn energies(&self, energy: Option<&Tensor>, rows: &Tensor) -> Result<Vec<(&'static str, f64)>> {
        let (Some(energy), Some(other)) = (energy, &self.reference.energy) else { return Ok(Vec::new()) };
        let numbers = |t: &Tensor, rows: &Tensor| Vec::<f64>::try_from(t.index_select(0, rows));
        let (found, other) = (numbers(energy, rows)?, numbers(other, &self.reference.rows(rows.size()[0]))?);
        let w = |p| wasserstein_1d(&found, &other, p);
        Ok(vec![("energy_w1", w(1)), ("energy_w2", w(2))])
    }

    /// Torsions and slow components of `x` `[n, A, 3]`.
    fn shapes(&self, x: &Tensor) -> Result<Vec<(&'static str, f64)>> {
        let (reference, expected) = (self.reference, self.reference.rows(x.size()[0]));
        let descriptors = Descriptors::of(&self.subject.topology);
        let nm = |x: &Tensor| x.to_device(Device::Cpu).to_kind(Kind::Double) * self.scale;
        let (torus, other) = (descriptors.torus(&nm(x)), reference.torus.index_select(0, &expected));
        let on_circles = |angles: &Tensor| Tensor::cat(&[angles.sin(), angles.cos()], 1);
        let clusters = |a: &Tensor, b: &Tensor| jensen_shannon::clustered(a, b, CLUSTERS, self.seed);
        let mut figures = vec![
            ("torus_w2", wasserstein2(&torus, &other, Geometry::Torus)?),
            ("torus_jsd", clusters(&on_circles(&torus), &on_circles(&other))?),
        ];
        if let Some(tica) = &reference.tica {
            let plane = |x: &Tensor| tica.transform(&descriptors.measure(&nm(x)), 2);
            let (found, other) = (plane(x)?, plane(&reference.x.index_select(0, &expected))?);
            figures.push(("tica_w2", wasserstein2(&found, &other, Geometry::Flat)?));
            figures.push(("tica_jsd", clusters(&found, &other)?));
        }
        Ok(figures)
    }
}
