//! How large the sets and cuts are that a network finds, and what is found without it.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::GraphsConfig;
use super::tempered::Tempered;
use crate::log::plot::{GraphPlot, Picture};
use crate::nets::RateNet;
use crate::samplers::discrete::noise::Noise;
use crate::samplers::discrete::rollout::{Keep, Simulation, rollout};
use crate::targets::lattice::graphs::batch::GraphTable;
use crate::targets::lattice::graphs::{Graph, Problem};
use crate::train::curves::Curves;
use crate::train::objective::{Evaluation, History};

/// Graphs to be judged by, with the values of exact answers where there are such.
pub struct Test {
    pub graphs: Vec<Graph>,
    table: GraphTable,
    pub optimum: Vec<Option<f64>>,
}

impl Test {
    pub fn new(graphs: Vec<Graph>, problem: Problem, device: Device) -> Self {
        let table = GraphTable::new(&graphs, problem, device);
        let optimum = graphs.iter().map(|graph| problem.optimum(graph).map(|x| problem.value(graph, &x))).collect();
        Self { graphs, table, optimum }
    }
}

/// Answers of one graph: values of all samples, and the best sample.
struct Answers {
    values: Vec<f64>,
    best: Vec<u8>,
}

/// No rates at all: what refinement does by itself.
struct Nothing;

impl RateNet for Nothing {
    fn forward(&self, x: &Tensor, _t: &Tensor) -> Tensor {
        Tensor::zeros([x.size()[0], x.size()[1], 2], (Kind::Float, x.device()))
    }
}

/// Draws answers for all test graphs. `eval/mean` is the mean over graphs and samples, `eval/best_mean` that of the
/// best sample of each graph; drops are relative to exact answers. The last evaluation also knows what the same sampler
/// finds without a network (`eval/without_…`), and pictures and states of the first graphs.
pub fn evaluate(
    net: &mut Tempered,
    test: &Test,
    config: &GraphsConfig,
    beta: f64,
    device: Device,
    last: bool,
) -> Result<Evaluation> {
    let seed = Tensor::randint_low(0, i64::MAX, [1], (Kind::Int64, Device::Cpu)).int64_value(&[0]) as u64;
    let mut evaluation = Evaluation { scalars: vec![("eval/beta".into(), beta)], ..Evaluation::default() };
    let found = answers(Some(net), test, config, beta, seed, device);
    evaluation.scalars.extend(figures("eval/", test, &found));
    if last {
        let without = answers(None, test, config, beta, seed, device);
        evaluation.scalars.extend(figures("eval/without_", test, &without));
        for (k, (graph, answers)) in test.graphs.iter().zip(&found).take(4).enumerate() {
            evaluation.pictures.push((format!("graph_{k}"), picture(config.problem, graph, answers)?));
        }
    }
    Ok(evaluation)
}

/// Rows that are simulated together.
const ROWS: i64 = 512;

fn answers(
    mut net: Option<&mut Tempered>,
    test: &Test,
    config: &GraphsConfig,
    beta: f64,
    seed: u64,
    device: Device,
) -> Vec<Answers> {
    let (samples, Some((step, grid))) = (config.samples, config.sampler.grid()) else { return Vec::new() };
    let together = (ROWS / samples).max(1) as usize;
    let mut all = Vec::new();
    for (part, graphs) in test.graphs.chunks(together).enumerate() {
        let (first, count) = ((part * together) as i64, graphs.len() as i64);
        let rows = Tensor::arange_start(first, first + count, (Kind::Int64, device)).unsqueeze(1);
        let rows = rows.expand([count, samples], false).reshape([-1]); // [B]
        let (target, distances) = test.table.batch(&rows, beta);
        let noise = Noise::new(seed.wrapping_add(part as u64));
        let net: &dyn RateNet = match net.as_deref_mut() {
            Some(net) => {
                net.set(distances, beta);
                net
            }
            None => &Nothing,
        };
        let sim = Simulation { net, target: &target, device };
        let path = rollout(&sim, step, grid, rows.size()[0], Keep::Ends, noise);
        let x = path.x.to_device(Device::Cpu).view([count, samples, -1]).to_kind(Kind::Uint8);
        all.extend(graphs.iter().zip(0..).map(|(graph, g)| judge(config.problem, graph, &x.get(g))));
    }
    all
}

/// `x` `[samples, D]` u8.
fn judge(problem: Problem, graph: &Graph, x: &Tensor) -> Answers {
    let mut answers = Answers { values: Vec::new(), best: Vec::new() };
    let mut highest = f64::NEG_INFINITY;
    for k in 0..x.size()[0] {
        let mut state = Vec::<u8>::try_from(x.get(k)).expect("a row of bytes");
        state.truncate(graph.nodes);
        problem.finish(graph, &mut state);
        let value = problem.value(graph, &state);
        answers.values.push(value);
        if value > highest {
            (highest, answers.best) = (value, state);
        }
    }
    answers
}

fn figures(prefix: &str, test: &Test, found: &[Answers]) -> Vec<(String, f64)> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let means: Vec<f64> = found.iter().map(|answers| mean(&answers.values)).collect();
    let best: Vec<f64> = found.iter().map(|a| a.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)).collect();
    let mut figures = vec![("mean", mean(&means)), ("best_mean", mean(&best))];
    let optimum: Option<Vec<f64>> = test.optimum.iter().copied().collect();
    if let Some(optimum) = optimum {
        let drop = |values: &[f64]| 100.0 * (1.0 - mean(values) / mean(&optimum));
        let solved = best.iter().zip(&optimum).filter(|(found, exact)| *found >= *exact).count();
        figures.extend([
            ("optimum_mean", mean(&optimum)),
            ("drop_percent", drop(&means)),
            ("best_drop_percent", drop(&best)),
            ("solved_percent", 100.0 * solved as f64 / optimum.len() as f64),
        ]);
    }
    figures.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)).collect()
}

fn picture(problem: Problem, graph: &Graph, answers: &Answers) -> Result<Picture> {
    let title = match problem {
        Problem::IndependentSet { .. } => format!("independent set of {}", problem.value(graph, &answers.best)),
        Problem::MaxCut {} => format!("cut of weight {}", problem.value(graph, &answers.best)),
    };
    let edges: Vec<(usize, usize)> = graph.edges.iter().map(|(i, j, _)| (*i as usize, *j as usize)).collect();
    let chosen: Vec<bool> = answers.best.iter().map(|state| *state == 1).collect();
    GraphPlot::new(title, graph.nodes, edges).chosen(chosen).draw()
}

/// Loss, and the drop from exact answers where it is known.
pub fn curves(history: &History) -> Result<Vec<(String, Picture)>> {
    let curve =
        |y_name, tags| Curves { title: "", against: ("step", "updates"), y_name, tags, reference: None }.draw(history);
    let mut pictures = vec![("loss".to_string(), curve("mean squared residual", &[("loss", "train/loss")])?)];
    if history.iter().any(|row| row.contains_key("eval/drop_percent")) {
        let tags = [("mean of samples", "eval/drop_percent"), ("best of samples", "eval/best_drop_percent")];
        pictures.push(("drop".to_string(), curve("below the exact answer, %", &tags)?));
    }
    Ok(pictures)
}
