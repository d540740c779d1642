//! Pictures of chains: lattices, the magnetisation's histogram, the two-point function.

use anyhow::Result;
use tch::{Kind, Tensor};

use crate::log::plot::{Axis, HistogramPlot, ImageGrid, LinePlot, Picture, Sample, Series, Shades};
use crate::targets::lattice::DiscreteTarget;

/// Lattices on a sheet.
const MOST_IMAGES: i64 = 36;

/// `series` gives all values of a figure, `scalars` the means with their errors; `x` are samples `[N, D]` in values.
pub fn draw(
    target: &dyn DiscreteTarget,
    names: &[String],
    scalars: &[(String, f64)],
    x: &Tensor,
    series: impl Fn(&str) -> Option<Vec<f64>>,
) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    if let Some((rows, columns)) = target.shape() {
        let count = x.size()[0].min(MOST_IMAGES);
        let spread =
            Tensor::linspace(0, x.size()[0] - 1, count, (Kind::Double, x.device())).round().to_kind(Kind::Int64);
        let images = x.index_select(0, &spread).view([count, rows, columns]);
        let values = target.values();
        let range = (values[0] as f64, values[values.len() - 1] as f64);
        let sheet = ImageGrid::new("samples").range(range.0, range.1).shades(Shades::Density);
        pictures.push(("samples".to_string(), sheet.draw(&images)?));
    }
    for name in ["magnetisation", "abs_magnetisation"] {
        if let Some(values) = series(name) {
            let axis = Axis::linear(name.replace('_', " "));
            let plot = HistogramPlot::new("", axis).sample(Sample::new("chains", &values));
            pictures.push((name.to_string(), plot.draw()?));
        }
    }
    if names.iter().any(|name| name == "two_point_1") {
        pictures.push(("two_point".to_string(), two_point(names, scalars)?));
    }
    Ok(pictures)
}

fn two_point(names: &[String], scalars: &[(String, f64)]) -> Result<Picture> {
    let value = |name: String| scalars.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value);
    let ranges = names.iter().filter(|name| name.starts_with("two_point_")).count();
    let r: Vec<f64> = (1..=ranges).map(|r| r as f64).collect();
    let column = |suffix: &str| -> Vec<f64> { (1..=ranges).map(|r| value(format!("two_point_{r}{suffix}"))).collect() };
    let found = Series::new("chains", &r, &column("")).plus_minus(&column("_error")).with_dots();
    let mut plot = LinePlot::new("", Axis::linear("distance"), Axis::linear("two-point function")).series(found);
    let exact = column("_exact");
    if exact.iter().all(|value| value.is_finite()) {
        plot = plot.series(Series::new("exact", &r, &exact).with_dots());
    }
    plot.draw()
}
