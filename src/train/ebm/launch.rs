//! From the command line to trainings of energy models.

use std::collections::BTreeMap;

use anyhow::Result;

use super::config::{EbmConfig, Method};
use super::objective::build;
use crate::config::cli::Common;
use crate::config::load::load;
use crate::config::to_yaml;
use crate::io::tensors::write_tensors;
use crate::log::table::{Table, figure};
use crate::targets::lattice::energy::Ratios;
use crate::torch::{device, threads};
use crate::train::run::Plan;
use crate::train::{Run, train};

/// `ebm train`: trains, then writes the model as `energy.safetensors`, which a target of type `energy_model` reads.
pub fn train_ebm(common: &Common) -> Result<()> {
    let loaded = load::<EbmConfig>(&common.config, &common.all_overrides())?;
    let (config, yaml) = (&loaded.value, to_yaml(&loaded.value)?);
    config.validate().map_err(|error| loaded.locate(error))?;
    if common.dry_run {
        print!("{yaml}");
        return Ok(());
    }
    threads::configure(common.threads.map(usize::from));
    let place = device::select(&common.device)?;
    let mut objective = build(config, place.0).map_err(|error| loaded.locate(error))?;
    let plan = Plan {
        keep_checkpoints: config.train.keep_checkpoints,
        place,
        ..Plan::of(common, "ebm", &loaded.name, &yaml, config.seed)
    };
    let (mut run, checkpoint) = Run::open(&plan)?;
    if matches!(&config.method, Method::Process(process) if process.ratios == Ratios::Taylor) {
        run.terminal.line("warning: method.ratios taylor is a first-order guess; the process converges to another law");
    }
    let figures = train(&mut objective, &config.train, &mut run, checkpoint)?;

    // A run that was done before left its model then.
    let file = run.dir.file("energy.safetensors");
    if let Some(model) = objective.measured() {
        let tensors: Vec<_> = model.iter().map(|(name, p)| (name.as_str(), p)).collect();
        write_tensors(&file, &tensors, &BTreeMap::from([("config".to_string(), yaml.clone())]))?;
    }
    run.terminal.line(&format!("model: {}", file.display()));

    let mut table = Table::new(["figure", "value"]);
    figures.iter().for_each(|(name, value)| table.row([name.clone(), figure(*value, 5)]));
    run.terminal.result(&table.to_text());
    Ok(())
}
