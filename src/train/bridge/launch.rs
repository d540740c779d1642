//! From the command line to runs: sweeps, configs, and one training run after the other.

use anyhow::Result;
use tch::Device;

use super::{BridgeConfig, build};
use crate::bad_input;
use crate::config::cli::{Common, Interrupted};
use crate::config::load::{self, Loaded};
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
        return Err(bad_input!(
            "--out names one folder, but the overrides ask for {} runs; leave --out away",
            runs.len()
        ));
    }
    // A slip in the last run of a sweep is reported before the first one starts.
    let loaded = runs.iter().map(|overrides| load_config(common, overrides)).collect::<Result<Vec<_>>>()?;
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

fn load_config(common: &Common, overrides: &[String]) -> Result<Loaded<BridgeConfig>> {
    let mut loaded = load::load::<BridgeConfig>(&common.config, overrides)?;
    let checked = loaded.value.validate();
    // Some values only show to be impossible when the density is built.
    let built = checked.and_then(|()| loaded.value.target.build((loaded.value.precision.kind(), Device::Cpu)));
    built.map_err(|error| loaded.locate(error))?;
    Ok(loaded)
}

fn train_one(common: &Common, loaded: &Loaded<BridgeConfig>, swept: &[String]) -> Result<()> {
    let (config, name) = (&loaded.value, loaded.name.as_str());
    let place = device::select(&common.device)?;
    let mut objective = build(config, place.0).map_err(|error| loaded.locate(error))?;
    let yaml = to_yaml(config)?;
    let plan = Plan {
        swept,
        keep_checkpoints: config.train.keep_checkpoints,
        place,
        ..Plan::of(common, "bridge", name, &yaml, config.seed)
    };
    let (mut run, checkpoint) = Run::open(&plan)?;
    for warning in config.warnings()? {
        run.terminal.line(&format!("warning: {warning}"));
    }
    train(&mut objective, &config.train, &mut run, checkpoint)?;
    Ok(())
}
