//! Every config that ships: its header, its keys, and two updates on the CPU.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sampler::config::load::load;
use sampler::targets::TargetConfig;
use sampler::torch::optim::Optimizer;
use sampler::torch::seed::{Stream, reseed};
use sampler::train::Objective;
use sampler::train::bridge::{BridgeConfig, build};
use sampler::train::discrete::{DiscreteConfig, mcmc};
use sampler::train::inverse::{self, InverseConfig, Setup};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Small enough for every config to take a fraction of a second.
const SMALL: [&str; 4] = ["train.batch=8", "process.num_steps=4", "train.steps=2", "eval.samples=16"];

/// A folder of this name holds what other configs extend: parts, not configs.
const PARENTS: &str = "base";

/// All YAML files below `configs/<task>`, in order.
fn yaml_files(task: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                collect(&entry, found);
            } else if entry.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
                found.insert(entry);
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(task), &mut found);
    found.into_iter().collect()
}

fn is_parent(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with(PARENTS))
}

/// What the comment at the top of a file lacks.
fn header_fault(path: &Path, labels: &[&str]) -> Option<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let header: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
    let value = |label: &str| header.iter().find_map(|line| line.strip_prefix(&format!("# {label}:")));
    let missing = labels.iter().find(|label| value(label).is_none_or(|value| value.trim().is_empty()));
    if let Some(label) = missing {
        return Some(format!("{}: no '# {label}: ...' at its top", path.display()));
    }
    let own = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
    let command = value("Run as").unwrap_or(&own);
    (!command.contains(&own)).then(|| format!("{}: 'Run as' names another file:{command}", path.display()))
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Whether a build failed for a data file that `make data` brings, and for nothing else.
fn lacks_data(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    text.contains(": file not found; it holds ") && text.contains("`make data`")
}

#[test]
fn every_config_says_what_it_is_and_how_to_run_it() {
    let of_a_bridge = ["Description", "Reference", "Run as", "Expected cost"];
    let bridge = yaml_files("bridge")
        .into_iter()
        .filter_map(|path| header_fault(&path, if is_parent(&path) { &of_a_bridge[..1] } else { &of_a_bridge }));
    let density = yaml_files("density").into_iter().filter_map(|path| header_fault(&path, &of_a_bridge[..3]));
    let discrete = yaml_files("discrete").into_iter().filter_map(|path| header_fault(&path, &of_a_bridge));
    let inverse = yaml_files("inverse").into_iter().filter_map(|path| header_fault(&path, &of_a_bridge));
    assert_none(bridge.chain(density).chain(discrete).chain(inverse).collect());
}

/// Two updates and a last evaluation; `false` where a data file is missing.
fn try_out(path: &Path) -> Result<bool> {
    let mut config = load::<BridgeConfig>(path, &SMALL.map(String::from))?.value;
    config.validate()?;
    let mut objective = match build(&config, Device::Cpu) {
        Err(error) if lacks_data(&error) => return Ok(false),
        built => built?,
    };
    let mut optimizer = Optimizer::new(config.train.optimizer, objective.groups(&config.train));
    for step in 0..config.train.steps {
        reseed(config.seed, Stream::Train, step);
        optimizer.zero_grad();
        let figures = objective.accumulate()?;
        let (tag, loss) = figures.first().context("no figures")?;
        anyhow::ensure!(loss.is_finite(), "step {step}: {tag} is {loss}");
        let report = optimizer.step(config.train.schedule.factor(step, config.train.steps), config.train.clip_norm);
        anyhow::ensure!(!report.skipped, "step {step}: the gradient's norm is {}", report.grad_norm);
    }
    let elbo = objective.evaluate(true)?.scalars.into_iter().find(|(tag, _)| tag == "eval/elbo");
    anyhow::ensure!(elbo.as_ref().is_some_and(|(_, value)| value.is_finite()), "{elbo:?}");
    Ok(true)
}

#[test]
fn every_bridge_config_trains() {
    tch::set_num_threads(1);
    let files: Vec<PathBuf> = yaml_files("bridge").into_iter().filter(|path| !is_parent(path)).collect();
    let mut tried = 0;
    let mut faults = Vec::new();
    for path in &files {
        match try_out(path) {
            Ok(ran) => tried += usize::from(ran),
            Err(error) => faults.push(format!("{}: {error:#}", path.display())),
        }
    }
    assert_none(faults);
    assert!(tried > 0 && 2 * tried >= files.len(), "only {tried} of {} have their data here", files.len());
}

#[test]
fn every_parent_is_extended() {
    let files = yaml_files("bridge");
    let names = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let parent = text.lines().find_map(|line| line.strip_prefix("extends: "))?.trim().to_string();
        std::fs::canonicalize(path.parent()?.join(parent)).ok()
    };
    let extended: BTreeSet<PathBuf> = files.iter().filter_map(names).collect();
    let idle = files.iter().filter(|path| is_parent(path) && !extended.contains(&path.canonicalize().unwrap()));
    assert_none(idle.map(|path| format!("{}: no config extends it", path.display())).collect());
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Density {
    target: TargetConfig,
}

/// Log-density and score at two points; nothing to do where a data file is missing.
fn evaluate_density(path: &Path) -> Result<()> {
    if DiscreteConfig::load_if_discrete(path, &[])?.is_some() {
        return sample_discrete(path);
    }
    let loaded = load::<Density>(path, &[])?;
    let target = match loaded.value.target.build((Kind::Double, Device::Cpu)) {
        Err(error) if lacks_data(&error) => return Ok(()),
        built => built?,
    };
    reseed(0, Stream::Data, 0);
    let x = Tensor::randn([2, target.dim()], (Kind::Double, Device::Cpu));
    let (log_prob, score) = (target.log_prob(&x), target.score(&x));
    anyhow::ensure!(log_prob.size() == [2] && score.size() == x.size(), "{:?} {:?}", log_prob.size(), score.size());
    anyhow::ensure!(bool::try_from(score.isfinite().all())?, "the score is not finite");
    Ok(())
}

/// Two sweeps of chains; nothing to do where the file of couplings is a person's own.
fn sample_discrete(path: &Path) -> Result<()> {
    let short = ["mcmc.burn_in=0", "mcmc.sweeps=2", "mcmc.samples=1", "mcmc.blocks=2"];
    let config = DiscreteConfig::load(path, &short.map(String::from))?.value;
    let target = match config.target.build((Kind::Double, Device::Cpu)) {
        Err(error) if format!("{error:#}").contains("which is not there") => return Ok(()),
        built => built?,
    };
    let (evaluation, _) = mcmc::run(&config, &*target)?;
    let energy = evaluation.scalars.iter().find(|(name, _)| name == "energy");
    anyhow::ensure!(energy.is_some_and(|(_, value)| value.is_finite()), "{energy:?}");
    Ok(())
}

#[test]
fn every_discrete_config_gives_chains() {
    let files = yaml_files("discrete");
    assert!(!files.is_empty());
    assert_none(
        files
            .iter()
            .filter_map(|path| Some(format!("{}: {:#}", path.display(), sample_discrete(path).err()?)))
            .collect(),
    );
}

/// Two iterations of two chains, under an untrained network where a score is to be learned.
fn sample_inverse(path: &Path) -> Result<()> {
    let short = ["sampler.burn_in=0", "sampler.thin=1", "sampler.iterations=2", "sampler.chains=2", "record.image=8"];
    let config = load::<InverseConfig>(path, &short.map(String::from))?.value;
    config.validate()?;
    let setup = Setup::new(&config)?;
    let learned = inverse::learn::network(&config, &setup)?;
    let (evaluation, _) = inverse::sample::sample(&config, &setup, learned.as_ref())?;
    let variance = evaluation.scalars.iter().find(|(name, _)| name == "sum_variance");
    anyhow::ensure!(variance.is_some_and(|(_, value)| value.is_finite()), "{variance:?}");
    Ok(())
}

#[test]
fn every_inverse_config_gives_chains() {
    let files = yaml_files("inverse");
    assert!(!files.is_empty());
    let faults = files.iter().filter_map(|path| Some(format!("{}: {:#}", path.display(), sample_inverse(path).err()?)));
    assert_none(faults.collect());
}

#[test]
fn every_density_config_gives_a_density() {
    let faults = yaml_files("density").into_iter().filter_map(|path| {
        let error = evaluate_density(&path).err()?;
        Some(format!("{}: {error:#}", path.display()))
    });
    assert_none(faults.collect());
}
