//! Pictures of a run, each with a `draw()` that returns a [`Picture`]: save it as PNG, show it in TensorBoard.
//!
//! | plot | what for |
//! |---|---|
//! | [`LinePlot`] | losses and metrics over steps, errors over step sizes |
//! | [`HistogramPlot`] | marginals against exact densities, energies against reference ones |
//! | [`ScatterPlot`] | two-dimensional samples over the contours of their target |
//! | [`HeatMap`] | densities, free energies, any function of two variables |
//! | [`PairsPlot`] | the marginals of the first few coordinates |
//! | [`BarChart`] | one figure for each of several methods, with errors |
//! | [`GraphPlot`] | graphs with chosen vertices |
//! | [`Forest`] | effects with their intervals, one a line |
//! | [`ImageGrid`] | lattices and digits |
//!
//! Nothing that data hold is an error: values that are not finite leave gaps, constant data get an axis around them,
//! and no data give an empty frame that says so.

mod axis;
mod bars;
mod canvas;
mod curve;
mod field;
mod font;
mod forest;
mod frame;
mod graph;
mod heatmap;
mod histogram;
mod images;
mod legend;
mod line;
mod pairs;
mod picture;
mod scatter;
mod style;

pub use axis::Axis;
pub use bars::{BarChart, Bars};
pub use field::Field;
pub use forest::{Forest, Interval};
pub use graph::GraphPlot;
pub use heatmap::HeatMap;
pub use histogram::{HistogramPlot, Sample};
pub use images::{ImageGrid, Shades};
pub use line::{LinePlot, Series};
pub use pairs::PairsPlot;
pub use picture::Picture;
pub use scatter::ScatterPlot;
