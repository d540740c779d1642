//! Pictures of models, data and samples.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::data::Source;
use crate::log::plot::{Axis, Field, HeatMap, ImageGrid, Picture, ScatterPlot, Shades};
use crate::targets::lattice::energy::Energy;
use crate::targets::lattice::gray;
use crate::targets::toys::Toy;

/// Data and samples, and the density where states are points: what is given.
pub fn draw(energy: &Energy, source: &Source, sets: &[(&str, &Tensor)]) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    if let Some(toy) = source.toy() {
        pictures.push(("density".to_string(), density(energy, toy)?));
        for (name, x) in sets {
            let plot = ScatterPlot::new(*name, Axis::linear("x"), Axis::linear("y"));
            pictures.push((name.to_string(), plot.points("", &points(x, toy)?).draw()?));
        }
    }
    if let Some((rows, columns)) = source.shape() {
        for (name, x) in sets {
            let images = x.narrow(0, 0, x.size()[0].min(64)).view([-1, rows, columns]);
            let sheet = ImageGrid::new(*name).range(0.0, 1.0).shades(Shades::Grey);
            pictures.push((name.to_string(), sheet.draw(&images)?));
        }
    }
    Ok(pictures)
}

/// States `[N, 32]` as points.
fn points(x: &Tensor, toy: Toy) -> Result<Vec<(f64, f64)>> {
    let bits = Vec::<u8>::try_from(x.to_kind(Kind::Uint8).contiguous().view([-1]))?;
    let point = |code: &[u8]| gray::decode(code, gray::scale(toy));
    Ok(bits.chunks_exact(gray::SITES).map(point).map(|[x, y]| (x, y)).collect())
}

/// `exp(f)` over the plane, scaled to its highest value.
fn density(energy: &Energy, toy: Toy) -> Result<Picture> {
    const SIDE: usize = 100;
    let (reach, scale) = (toy.largest() + 1.0, gray::scale(toy));
    let range = (-reach, reach);
    let centers = Field::centers(range, range, SIDE, SIDE);
    let codes: Vec<u8> = centers.into_iter().flat_map(|(x, y)| gray::encode([x, y], scale)).collect();
    let log_prob = energy.log_prob_of(&Tensor::from_slice(&codes).view([-1, gray::SITES as i64]));
    let values = Vec::<f64>::try_from((&log_prob - log_prob.max()).exp())?;
    let field = Field::new(range, range, SIDE, SIDE, &values);
    HeatMap::new("density of the model", Axis::linear("x"), Axis::linear("y"), Axis::linear("of its highest"), field)
        .draw()
}
