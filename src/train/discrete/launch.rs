//! From the command line to training runs.

use anyhow::Result;

use super::{DiscreteConfig, build};
use crate::bad_input;
use crate::config::cli::{Common, Interrupted};
use crate::config::load::Loaded;
use crate::config::{sweep, to_yaml};
use crate::torch::{device, threads};
use crate::train::run::Plan;
use crate::train::stop::StopFlag;
use crate::train::{Run, train};

/// Every run of a sweep, one after the other.
pub fn train_all(common: &Common) -> Result<()> {
    let overrides = common.all_overrides();
    let (runs, swept) = (sweep::runs(&overrides)?, sweep::swept_keys(&overrides)?);
    if runs.len() > 1 && common.out.is_some() {
        let count = runs.len();
        return Err(bad_input!("--out names one folder, but the overrides ask for {count} runs; leave --out away"));
    }
    // A slip in the last run of a sweep is reported before the first one starts.
    let load = |overrides: &Vec<String>| -> Result<Loaded<DiscreteConfig>> {
        let loaded = DiscreteConfig::load(&common.config, overrides)?;
        loaded.value.training().map_err(|error| loaded.locate(error))?;
        Ok(loaded)
    };
    let loaded = runs.iter().map(load).collect::<Result<Vec<_>>>()?;
    if common.dry_run {
        let texts = loaded.iter().map(|one| to_yaml(&one.value)).collect::<Result<Vec<_>>>()?;
        print!("{}", texts.join("---\n"));
        return Ok(());
    }
    threads::configure(common.threads.map(usize::from));
    for (number, one) in loaded.iter().enumerate() {
        // A signal that came while the run before this one was measured.
        if number > 0 && StopFlag::install()?.raised() {
            let text = format!("stopped after {number} of {} runs; go on with --resume", loaded.len());
            return Err(Interrupted(text).into());
        }
        train_one(common, one, &swept)?;
    }
    Ok(())
}

fn train_one(common: &Common, loaded: &Loaded<DiscreteConfig>, swept: &[String]) -> Result<()> {
    let config = &loaded.value;
    let place = device::select(&common.device)?;
    let settings = config.training()?;
    let mut objective = build(config, place.0).map_err(|error| loaded.locate(error))?;
    let yaml = to_yaml(config)?;
    let plan = Plan {
        swept,
        keep_checkpoints: settings.keep_checkpoints,
        place,
        ..Plan::of(common, "discrete", &loaded.name, &yaml, config.seed)
    };
    let (mut run, checkpoint) = Run::open(&plan)?;
    train(&mut objective, &settings, &mut run, checkpoint)?;
    Ok(())
}
