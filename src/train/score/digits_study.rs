//! A grid over integrators and steps for images: distances, costs, sheets of samples.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tch::{Device, Tensor};

use super::config::ScoreConfig;
use super::digits::{ImageFigures, Row, floor, row};
use super::learn::evaluate::{image_grid, sheet_of};
use super::measure::Figure;
use super::study::check_integrators;
use super::subject::Subject;
use crate::log::plot::Picture;
use crate::log::table::{Table, figure, mean_std};
use crate::targets::Options;

/// What a study of images found.
pub struct ImageStudy {
    pub rows: Vec<Row>,
    pub floor: ImageFigures,
    size: (i64, i64),
    real: Tensor,
}

/// `score study` for images; `say` hears a line for every integrator at every step.
pub fn study(config: &ScoreConfig, options: Options, say: &mut dyn FnMut(&str)) -> Result<ImageStudy> {
    let wanted = config.study.as_ref().context("the config has no section study")?;
    let subject = Subject::build(config, options)?;
    check_integrators(config, &subject)?;
    let gallery = subject.gallery().context("the data are no images")?;
    let mut rows = Vec::new();
    for integrator in &wanted.integrators {
        let (name, built) = (integrator.name(), integrator.build());
        for (h, grid) in &wanted.grids(config)? {
            let row = row(config, &subject, (name.clone(), built.as_ref()), (*h, grid), options)?;
            let (mmd, frechet) = (with_error(row.figures.mmd), with_error(row.figures.frechet));
            say(&format!("{name}, {} steps: MMD {mmd}, Fréchet {frechet}", row.num_steps));
            rows.push(row);
        }
    }
    let floor = floor(config, gallery)?;
    let real = gallery.images.held_out_set(config.sample.n, 0)?.0;
    Ok(ImageStudy { rows, floor, size: gallery.images.size(), real })
}

fn with_error(value: Figure) -> String {
    match (value.mean.is_nan(), value.error.is_nan()) {
        (true, _) => "–".to_string(),
        (_, true) => figure(value.mean, 3),
        _ => mean_std(value.mean, value.error),
    }
}

impl ImageStudy {
    /// A row for every integrator and grid; the floor comes last.
    pub fn table(&self) -> Table {
        let header =
            ["integrator", "steps", "score calls", "HVPs", "MMD", "Fréchet", "right class", "wall s", "x Euler"];
        let mut table = Table::new(header);
        let shown = |f: &ImageFigures| [f.mmd, f.frechet, f.accuracy].map(with_error);
        for row in &self.rows {
            let first = self.rows.iter().find(|other| other.num_steps == row.num_steps && other.name == "euler");
            let ratio = first.map_or("–".to_string(), |euler| figure(row.wall_s / euler.wall_s, 3));
            let calls = [row.num_steps as u64, row.cost.score_calls, row.cost.hvp_calls].map(|n| n.to_string());
            let cells = [&[row.name.clone()][..], &calls, &shown(&row.figures), &[figure(row.wall_s, 3), ratio]];
            table.row(cells.concat());
        }
        let blank = || vec!["–".to_string(); 3];
        table.row([vec!["real images".into()], blank(), shown(&self.floor).to_vec(), blank()[..2].to_vec()].concat());
        table
    }

    /// Flat figures for `summary.json`.
    pub fn figures(&self) -> Vec<(String, f64)> {
        let of_row = |row: &Row| {
            let (name, n) = (row.name.clone(), row.num_steps);
            let named = row.figures.named().into_iter();
            named.map(move |(tag, figure)| (format!("{tag}/{name}/{n}"), figure.mean)).collect::<Vec<_>>()
        };
        let floor = self.floor.named().into_iter().map(|(tag, figure)| (format!("{tag}_floor"), figure.mean));
        self.rows.iter().flat_map(of_row).chain(floor).collect()
    }

    /// Every row as JSON.
    pub fn rows(&self) -> Value {
        let row = |row: &Row| {
            let ImageFigures { mmd, frechet, accuracy } = row.figures;
            json!({
                "integrator": row.name, "num_steps": row.num_steps, "h": row.h, "score_calls": row.cost.score_calls,
                "hvp_calls": row.cost.hvp_calls, "hessian_calls": row.cost.hessian_calls, "wall_s": row.wall_s,
                "mmd": mmd.mean, "mmd_error": mmd.error, "frechet": frechet.mean, "frechet_error": frechet.error,
                "accuracy": accuracy.mean, "accuracy_error": accuracy.error,
            })
        };
        Value::Array(self.rows.iter().map(row).collect())
    }

    /// A sheet of samples a row, one of the first ten of each, and one of real images.
    pub fn pictures(&self) -> Result<Vec<(String, Picture)>> {
        let sheet = |row: &Row| {
            let title = format!("{}, {} steps", row.name, row.num_steps);
            Ok((format!("samples_{}_{}", row.name, row.num_steps), image_grid(&title, &row.x, self.size)?))
        };
        let mut pictures = self.rows.iter().map(sheet).collect::<Result<Vec<_>>>()?;
        let ten = |x: &Tensor| x.narrow(0, 0, x.size()[0].min(10));
        let mut lines: Vec<Tensor> = self.rows.iter().map(|row| ten(&row.x)).collect();
        lines.push(ten(&self.real.to_device(Device::Cpu)));
        let names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        let title = format!("{}, real", names.join(", "));
        let title = if title.len() > 70 { "One row a line of the table, then real images".to_string() } else { title };
        pictures.push(("overview".to_string(), sheet_of(&title, &Tensor::cat(&lines, 0), self.size)?));
        Ok(pictures)
    }
}
