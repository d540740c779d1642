//! `flow transform`: points of a file through a flow, in either direction.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use tch::{Device, Kind, Tensor};

use super::open::Reading;
use super::proposals::shares;
use super::subject::Subject;
use super::team::FlowTeam;
use crate::bad_input;
use crate::flows::{Flow, Inversion, log_prior};
use crate::io::tensors::{read_tensors, take, write_tensors};
use crate::log::progress::Terminal;
use crate::targets::molecule::peptide;
use crate::torch::{device, threads};

#[derive(Debug, Args)]
pub struct TransformArgs {
    /// Weights in any format: safetensors, .npz, or PyTorch's .pt, .pth and .ckpt
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,

    #[command(flatten)]
    pub reading: Reading,

    /// The peptide: a PDB file, or a sequence such as AA, whose atoms `flow topology` lists
    #[arg(long, value_name = "PDB|SEQUENCE")]
    pub topology: String,

    /// Tensor file with x [N, atoms, 3] or [N, 3 atoms] in standardised units (nm over the flow's scale) and in the
    /// topology's order; with --inverse z
    #[arg(long, value_name = "FILE")]
    pub points: PathBuf,

    /// Writes z in the shape of x, log_det [N] = log |det dz/dx| and log_q [N] = log-density of x, both f64; with
    /// --inverse x, log_det = log |det dx/dz| and log_q, still that of x (safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// From noise to data
    #[arg(long)]
    pub inverse: bool,

    /// Precision of the network and of the points written [default: that of the points]
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,

    /// Points that go through the network at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(i64).range(1..))]
    pub chunk: i64,

    /// Where to compute: auto, cpu, cuda, or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,

    /// CPU threads among which points are divided [default: OMP_NUM_THREADS, else one a core]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    F32,
    F64,
}

/// Which way, and what the tensors on both sides are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Inverse,
}

impl Direction {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Direction::Forward => ("x", "z"),
            Direction::Inverse => ("z", "x"),
        }
    }
}

/// Where points went, on the CPU.
pub struct Image {
    /// `[N, A, 3]` in the network's kind.
    pub points: Tensor,
    /// Of the direction taken, `[N]` in f64.
    pub log_det: Tensor,
    /// Log-density of the data points, whichever side they are on, `[N]` in f64.
    pub log_q: Tensor,
}

/// Takes points `[N, A, 3]` through the flow, `chunk` at a time; `N` at least 1.
pub fn image(team: &mut FlowTeam, subject: &Subject, points: &Tensor, direction: Direction, chunk: i64) -> Image {
    let (kind, device) = (team.params().kind(), team.device());
    let mut parts: Vec<[Tensor; 3]> = Vec::new();
    for piece in points.split(chunk.max(1), 0) {
        let conditioning = || subject.conditioning.to_device(device);
        let shares = shares(&piece, team.len()).into_iter().map(|share| (share, conditioning())).collect();
        parts.extend(team.each(shares, |flow, (share, conditioning)| {
            let _guard = tch::no_grad_guard();
            let (from, molecule) = (share.to_kind(kind).to_device(device), flow.prepare(&conditioning));
            let (to, log_det) = match direction {
                Direction::Forward => flow.forward(&from, &molecule),
                Direction::Inverse => flow.inverse(&from, &molecule, Inversion::Sequential),
            };
            let log_q = match direction {
                Direction::Forward => log_prior(&to, &molecule) + &log_det,
                Direction::Inverse => log_prior(&from, &molecule) - &log_det,
            };
            [to, log_det, log_q].map(|t| t.to_device(Device::Cpu))
        }));
    }
    let join = |i: usize| Tensor::cat(&parts.iter().map(|part| &part[i]).collect::<Vec<_>>(), 0);
    Image { points: join(0), log_det: join(1), log_q: join(2) }
}

/// The verb.
pub fn transform(args: &TransformArgs) -> Result<()> {
    threads::configure(args.threads.map(usize::from));
    let (device, _) = device::select(&args.device)?;
    let direction = if args.inverse { Direction::Inverse } else { Direction::Forward };
    let (from, to) = direction.names();

    // What a person can have got wrong comes before any computation.
    let given = read_points(&args.points, from)?;
    let kind = match args.precision {
        None => given.kind(),
        Some(Precision::F32) => Kind::Float,
        Some(Precision::F64) => Kind::Double,
    };
    let topology = peptide::read(&args.topology)?;
    let (flow, _) = args.reading.flow(&args.weights, (kind, device))?;
    let subject = Subject::new(&args.topology, topology, flow.config())?;
    let points = of_atoms(&given, &subject).ok_or_else(|| {
        let (file, found, atoms) = (args.points.display(), given.size(), subject.atoms());
        let expected = format!("[N, {atoms}, 3] or [N, {}] for the {atoms} atoms of {}", 3 * atoms, subject.name);
        bad_input!("{file}: tensor '{from}' has shape {found:?}, expected {expected}")
    })?;

    let image = image(&mut FlowTeam::new(flow)?, &subject, &points, direction, args.chunk);
    let there = image.points.view(given.size().as_slice());
    let tensors = [(to, &there), ("log_det", &image.log_det), ("log_q", &image.log_q)];
    let note = if args.inverse { "log |det dx/dz|" } else { "log |det dz/dx|" };
    let notes = [("log_det", note), ("topology", &args.topology)].map(|(k, v)| (k.to_string(), v.to_string()));
    write_tensors(&args.out, &tensors, &BTreeMap::from(notes))?;
    say(&subject, &image, to, &args.out);
    Ok(())
}

fn say(subject: &Subject, image: &Image, to: &str, out: &Path) {
    let (n, name) = (image.log_q.size()[0], &subject.name);
    let mut terminal = Terminal::new();
    terminal.line(&format!("{name}: {to}, log_det and log_q of {n} points in {}", out.display()));
    let lost = n - image.log_q.isfinite().sum(Kind::Int64).int64_value(&[]);
    if lost > 0 {
        terminal.line(&format!("{lost} of {n} points have no finite log_q in this precision"));
    }
}

/// The tensor `name`, floating and finite, of two or three axes.
fn read_points(file: &Path, name: &str) -> Result<Tensor> {
    let points = take(file, &mut read_tensors(file)?, name)?;
    let file = file.display();
    if !matches!(points.kind(), Kind::Float | Kind::Double) {
        return Err(bad_input!("{file}: tensor '{name}' is {:?}, expected Float or Double", points.kind()));
    }
    let size = points.size();
    if !matches!(size.len(), 2 | 3) || size.contains(&0) {
        return Err(bad_input!("{file}: tensor '{name}' has shape {size:?}, expected [N, atoms, 3], N at least 1"));
    }
    let finite = points.isfinite().flatten(1, -1).all_dim(1, false); // [N]
    let bad = finite.logical_not().nonzero();
    if bad.size()[0] > 0 {
        let (first, count) = (bad.int64_value(&[0, 0]), bad.size()[0]);
        return Err(bad_input!("{file}: tensor '{name}' holds NaN or infinity in {count} points, point {first} first"));
    }
    Ok(points)
}

/// The same points as `[N, A, 3]`, if they are of so many atoms.
fn of_atoms(points: &Tensor, subject: &Subject) -> Option<Tensor> {
    let (size, atoms) = (points.size(), subject.atoms());
    let fits =
        matches!(size.as_slice(), [_, a, 3] if *a == atoms) || matches!(size.as_slice(), [_, d] if *d == 3 * atoms);
    fits.then(|| points.contiguous().view([-1, atoms, 3]))
}
