//! Graphs: vertices as discs, chosen ones in another colour, edges as lines.

use anyhow::{Result, ensure};

use super::canvas::{Align, Area, Canvas, Lettering, Point};
use super::picture::Picture;
use super::style::{FAINT_INK, FRAME, INK, Sizes, WHITE, pale, series_color};

/// Side of the picture in pixels.
const SIDE: u32 = 900;

/// Springs are let go so many times; beyond so many vertices they stay on a circle.
const ROUNDS: usize = 300;
const MOST_SPRINGS: usize = 400;

/// A graph and which of its vertices are chosen. Edges between a chosen and another vertex are dark, the others pale:
/// the dark ones are those of the cut.
#[derive(Debug, Clone)]
pub struct GraphPlot {
    title: String,
    vertices: usize,
    edges: Vec<(usize, usize)>,
    chosen: Vec<bool>,
}

impl GraphPlot {
    pub fn new(title: impl Into<String>, vertices: usize, edges: Vec<(usize, usize)>) -> Self {
        Self { title: title.into(), vertices, edges, chosen: vec![false; vertices] }
    }

    pub fn chosen(mut self, chosen: Vec<bool>) -> Self {
        self.chosen = chosen;
        self
    }

    /// 900 pixels square.
    pub fn draw(&self) -> Result<Picture> {
        ensure!(self.chosen.len() == self.vertices, "{} choices for {} vertices", self.chosen.len(), self.vertices);
        let mut canvas = Canvas::new(SIDE, SIDE);
        let s = Sizes::SINGLE;
        let title = Lettering { size: s.title, bold: true, color: INK, align: Align::Start, upwards: false };
        canvas.text(&self.title, (s.space * 2.0, s.space + s.title), title);

        let sheet = canvas.area();
        let margin = 40.0;
        let frame =
            Area { left: margin, top: margin + s.title, right: sheet.right - margin, bottom: sheet.bottom - margin };
        let places = stretched(&layout(self.vertices, &self.edges), frame);
        for (i, j) in &self.edges {
            let crosses = self.chosen[*i] != self.chosen[*j];
            let (width, color) = if crosses { (2.0, FAINT_INK) } else { (1.4, pale(FRAME)) };
            canvas.line(&[places[*i], places[*j]], width, color);
        }
        let radius = (160.0 / (self.vertices as f64).sqrt()).clamp(2.0, 16.0);
        for (place, chosen) in places.iter().zip(&self.chosen) {
            canvas.disc(*place, radius + 1.5, WHITE);
            canvas.disc(*place, radius, if *chosen { series_color(1) } else { pale(series_color(0)) });
        }
        canvas.finish()
    }
}

/// Fruchterman and Reingold's springs (Software: Practice and Experience 21, 1991), from a circle on: the same graph
/// always looks the same.
fn layout(vertices: usize, edges: &[(usize, usize)]) -> Vec<Point> {
    let angle = |i: usize| std::f64::consts::TAU * i as f64 / vertices.max(1) as f64;
    let mut places: Vec<Point> = (0..vertices).map(|i| (0.5 * angle(i).cos(), 0.5 * angle(i).sin())).collect();
    if vertices > MOST_SPRINGS {
        return places;
    }
    let rest = (1.0 / vertices.max(1) as f64).sqrt();
    for round in 0..ROUNDS {
        let mut pulls = vec![(0.0, 0.0); vertices];
        let mut push = |i: usize, j: usize, force: fn(f64, f64) -> f64| {
            let (dx, dy) = (places[i].0 - places[j].0, places[i].1 - places[j].1);
            let distance = dx.hypot(dy).max(1e-6);
            let strength = force(distance, rest) / distance;
            pulls[i] = (pulls[i].0 + dx * strength, pulls[i].1 + dy * strength);
            pulls[j] = (pulls[j].0 - dx * strength, pulls[j].1 - dy * strength);
        };
        (0..vertices).for_each(|i| (0..i).for_each(|j| push(i, j, |d, rest| rest * rest / d)));
        edges.iter().for_each(|(i, j)| push(*i, *j, |d, rest| -d * d / rest));
        // Vertices without edges would leave for good.
        let most = 0.1 * (1.0 - round as f64 / ROUNDS as f64);
        for (place, pull) in places.iter_mut().zip(&pulls) {
            let pull = (pull.0 - 0.5 * place.0, pull.1 - 0.5 * place.1);
            let length = pull.0.hypot(pull.1).max(1e-9);
            let step = length.min(most) / length;
            *place = (place.0 + pull.0 * step, place.1 + pull.1 * step);
        }
    }
    places
}

/// Places moved and stretched to fill a rectangle.
fn stretched(places: &[Point], frame: Area) -> Vec<Point> {
    let range = |coordinate: fn(&Point) -> f64| {
        let values = places.iter().map(coordinate);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (x, y) = (range(|p| p.0), range(|p| p.1));
    let onto = |v: f64, (low, high): (f64, f64), from: f64, to: f64| {
        if high > low { from + (v - low) / (high - low) * (to - from) } else { (from + to) / 2.0 }
    };
    let place = |p: &Point| (onto(p.0, x, frame.left, frame.right), onto(p.1, y, frame.top, frame.bottom));
    places.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_lie_closer_than_others() {
        // Two triangles joined by an edge.
        let edges = [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5), (2, 3)];
        let places = layout(6, &edges);
        let distance = |i: usize, j: usize| (places[i].0 - places[j].0).hypot(places[i].1 - places[j].1);
        assert!(edges[..6].iter().all(|(i, j)| distance(*i, *j) < distance(0, 5)), "{places:?}");
        assert!(places.iter().all(|p| p.0.is_finite() && p.1.is_finite()));
    }

    #[test]
    fn any_graph_is_drawn() {
        for (vertices, edges) in [(0, vec![]), (1, vec![]), (3, vec![(0, 1)]), (500, vec![(0, 499)])] {
            let picture = GraphPlot::new("graph", vertices, edges).chosen(vec![true; vertices]).draw().unwrap();
            assert_eq!((picture.width, picture.height), (SIDE, SIDE));
        }
        assert!(GraphPlot::new("graph", 3, vec![]).chosen(vec![true]).draw().is_err());
    }
}
