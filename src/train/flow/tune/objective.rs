//! One update of a flow on its own reweighted proposals, held back by the flow it was.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::buffer::{Buffer, FIGURES};
use super::config::FlowTuneConfig;
use crate::bad_input;
use crate::flows::{AutoregressiveFlow, Conditioning, Flow};
use crate::log::plot::Picture;
use crate::torch::optim::Group;
use crate::torch::params::Params;
use crate::train::config::TrainConfig;
use crate::train::curves::Curves;
use crate::train::flow::data::augmented;
use crate::train::flow::proposals::{log_q, shares};
use crate::train::flow::reference::Reference;
use crate::train::flow::subject::Subject;
use crate::train::flow::team::FlowTeam;
use crate::train::objective::{Cost, Evaluation, History, Objective};

/// A flow, the flow it was, and the molecule it learns.
pub struct TuneObjective {
    pub team: FlowTeam,
    /// The network that fine-tuning started from; none where it has no weight.
    pub teacher: Option<Teacher>,
    pub subject: Subject,
    pub reference: Option<Reference>,
    /// With `scale` and `temperature` filled in.
    pub config: FlowTuneConfig,
    pub buffer: Option<Buffer>,
    /// Updates made so far.
    pub updates: u64,
    pub(super) cost: Cost,
}

/// A frozen network.
pub struct Teacher {
    pub team: FlowTeam,
    /// SHA-256 of the file that it was read from: a resumed run must have the same teacher.
    pub sha256: String,
}

/// What an update minimises: `nll + weight * teacher`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    pub total: f64,
    /// Mean negative log-likelihood per coordinate.
    pub nll: f64,
    /// Mean of `(log q - log q_teacher)²`; 0 without a teacher.
    pub teacher: f64,
}

/// Frames with the teacher's log-densities where there is a teacher.
type Piece = (Tensor, Option<Tensor>);

impl TuneObjective {
    /// Accumulates the gradient of the loss on frames `x` `[B, A, 3]`, which are not augmented any more.
    pub fn gradient(&mut self, x: &Tensor) -> Loss {
        let (batch, device) = (x.size()[0], self.team.device());
        self.cost.network_calls += batch as u64;
        let known = self.teacher.as_mut().map(|teacher| {
            self.cost.network_calls += batch as u64;
            log_q(&mut teacher.team, &self.subject, x, self.config.chunk)
        });

        let rows = self.config.train.chunk_rows_on(device);
        let weight = self.config.teacher.weight;
        let dims = 3.0 * self.subject.atoms() as f64;
        let unit = if self.config.teacher.per_dimension { dims } else { 1.0 };
        let one = |flow: &AutoregressiveFlow, molecule: &Conditioning, (x, known): Piece| {
            let log_q = flow.log_q(&x.to_device(device), &flow.prepare(molecule)); // [b]
            let nll = log_q.sum(Kind::Double) / (-dims * batch as f64);
            let Some(known) = known else {
                nll.backward();
                return (nll.double_value(&[]), 0.0);
            };
            let apart = (log_q - known.to_device(device)) / unit;
            let term = apart.square().sum(Kind::Double) / batch as f64;
            (&nll + &term * weight).backward();
            (nll.double_value(&[]), term.double_value(&[]))
        };
        let items = cut(x, known.as_ref(), self.team.len(), rows);
        let items = items.into_iter().map(|pieces| (pieces, self.subject.conditioning.to_device(device))).collect();
        let sums = self.team.each(items, |flow, (pieces, molecule): (Vec<Piece>, Conditioning)| {
            let terms = pieces.into_iter().map(|piece| one(flow, &molecule, piece));
            terms.fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1))
        });
        self.team.gather();
        let (nll, teacher) = sums.into_iter().fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1));
        Loss { total: nll + weight * teacher, nll, teacher }
    }

    /// The buffer of the present round, filled if it is still that of an earlier one.
    fn buffer(&mut self) -> Result<&Buffer> {
        let round = self.updates / self.config.round_updates();
        if self.buffer.as_ref().is_none_or(|buffer| buffer.round != round) {
            let filled = Buffer::fill(&mut self.team, &self.subject, &self.config, round)?;
            self.cost.target_calls += self.config.proposals as u64;
            self.cost.network_calls += self.config.proposals as u64;
            self.buffer = Some(filled);
        }
        self.buffer.as_ref().context("the round has no buffer")
    }
}

/// Shares for the workers, each in pieces of `rows` at most.
fn cut(x: &Tensor, known: Option<&Tensor>, workers: usize, rows: i64) -> Vec<Vec<Piece>> {
    let pieces = |x: &Tensor| {
        let shares = shares(x, workers);
        shares.into_iter().map(|share| share.split(rows, 0)).collect::<Vec<_>>()
    };
    let none = |parts: Vec<Tensor>| parts.into_iter().map(|part| (part, None)).collect::<Vec<Piece>>();
    let Some(known) = known else { return pieces(x).into_iter().map(none).collect() };
    let both = |(x, known): (Vec<Tensor>, Vec<Tensor>)| x.into_iter().zip(known.into_iter().map(Some)).collect();
    pieces(x).into_iter().zip(pieces(known)).map(both).collect()
}

impl Objective for TuneObjective {
    fn params(&self) -> &Params {
        self.team.params()
    }

    fn groups(&self, config: &TrainConfig) -> Vec<Group> {
        vec![Group { name: "flow".into(), learning_rate: config.learning_rate, params: self.params().named() }]
    }

    fn accumulate(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let batch = self.config.train.batch;
        let buffer = self.buffer()?;
        let (round, found, x) = (buffer.round, buffer.figures, buffer.pick(batch));
        let loss = self.gradient(&augmented(&x, &self.config.augment));
        self.updates += 1;
        let mut figures = vec![("train/loss", loss.total), ("train/nll", loss.nll), ("train/teacher", loss.teacher)];
        figures.push(("train/round", round as f64));
        figures.extend(FIGURES.into_iter().zip(found));
        Ok(figures)
    }

    fn evaluate(&mut self, last: bool) -> Result<Evaluation> {
        super::evaluate::evaluate(self, last)
    }

    fn pictures(&mut self, history: &History) -> Result<Vec<(String, Picture)>> {
        let curve = |stem: &str, title, y_name, tags: &[(&str, &str)]| {
            let picture =
                Curves { title, against: ("step", "updates"), y_name, tags, reference: None }.draw(history)?;
            anyhow::Ok((stem.to_string(), picture))
        };
        let likelihood = [("own proposals", "train/nll"), ("reference", "eval/nll")];
        Ok(vec![
            curve("loss", "Negative log-likelihood", "nats a coordinate", &likelihood)?,
            curve(
                "teacher",
                "Distance from the teacher",
                "mean square",
                &[("(log q - log q_teacher)²", "train/teacher")],
            )?,
            curve("ess", "Effective sample size", "ESS / N", &[("evaluation", "eval/ess"), ("buffer", FIGURES[0])])?,
        ])
    }

    fn headline(&self) -> &'static [&'static str] {
        &["eval/nll", "eval/ess", "eval/energy_median", "eval/energy_w2", "eval/torus_w2"]
    }

    fn cost(&self) -> Cost {
        self.cost
    }

    fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }

    fn extra_state(&self) -> Vec<(String, Tensor)> {
        let mut state = vec![("updates".to_string(), Tensor::from_slice(&[self.updates as i64]))];
        let sha256 = self.teacher.as_ref().map(|teacher| Tensor::from_slice(teacher.sha256.as_bytes()));
        state.extend(sha256.map(|sha256| ("teacher.sha256".to_string(), sha256)));
        state.extend(self.buffer.iter().flat_map(Buffer::named));
        state
    }

    fn restore(&mut self, extra: &[(String, Tensor)]) -> Result<()> {
        let find = |key: &str| extra.iter().find(|(name, _)| name == key).map(|(_, t)| t.to_device(Device::Cpu));
        let updates = find("updates").filter(|t| t.numel() == 1).context("no tensor 'updates' with a single number")?;
        self.updates = updates.int64_value(&[0]).max(0) as u64;
        if let Some(teacher) = &self.teacher {
            let before = find("teacher.sha256").context("no tensor 'teacher.sha256'")?;
            if Vec::<u8>::try_from(before)? != teacher.sha256.as_bytes() {
                return Err(bad_input!(
                    "'init': {} is not the file that this run began with; bring that back, or start a new run",
                    self.config.init.display()
                ));
            }
        }
        self.buffer = Buffer::restored(extra, self.subject.atoms())?;
        Ok(())
    }
}
