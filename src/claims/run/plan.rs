//! Which runs a claim needs.

use anyhow::Result;

use crate::bad_input;
use crate::claims::claim::{Claim, Method, Of, RunConfig, Setting};
use crate::claims::record::{Records, Split};
use crate::claims::values::chosen_config;

/// One run, before it has a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub split: Split,
    pub method: String,
    pub setting: String,
    /// The config's name in records.
    pub tuned: String,
    pub x: Option<f64>,
    pub seed: u64,
    pub binary: String,
    pub verb: String,
    pub config: String,
    /// In the order of their precedence: of the claim, the setting, the method, the tuning, the sweep.
    pub overrides: Vec<String>,
    pub arguments: Vec<String>,
    /// All arguments, in place of the above.
    pub command: Option<Vec<String>>,
    pub time_limit_s: f64,
}

impl Job {
    /// `rkl_ld in funnel, seed 3, lr=0.1`.
    pub fn line(&self) -> String {
        let x = self.x.map_or(String::new(), |x| format!(", x = {x}"));
        let tuned = if self.tuned.is_empty() { String::new() } else { format!(", {}", self.tuned) };
        format!("{} in {}{x}, seed {}{tuned}", self.method, self.setting, self.seed)
    }
}

/// Every config on every tuning seed, where there is something to choose or to compare.
pub fn tuning(claim: &Claim) -> Result<Vec<Job>> {
    let gap = claim.metrics.iter().any(|m| m.of == Of::TuningGap);
    let mut jobs = Vec::new();
    for_each(claim, |setting, method, x| {
        let configs = method.configs();
        if configs.len() < 2 && !gap {
            return Ok(());
        }
        for config in configs {
            for seed in &claim.tuning_seeds {
                jobs.push(job(claim, setting, method, x, &config, (Split::Tuning, *seed))?);
            }
        }
        Ok(())
    })?;
    Ok(jobs)
}

/// The configs chosen on tuning seeds (one for each metric that chooses otherwise), on every evaluation seed.
pub fn evaluation(claim: &Claim, records: &Records) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    if claim.metrics.iter().all(|m| m.of == Of::TuningGap) {
        return Ok(jobs);
    }
    for_each(claim, |setting, method, x| {
        let configs = method.configs();
        let name = |config: &Vec<String>| Method::config_name(config);
        let mut chosen: Vec<String> = Vec::new();
        for metric in claim.metrics.iter().filter(|m| m.of == Of::Value) {
            let config = chosen_config(records, metric, &method.name, &setting.name, x);
            let config = config.unwrap_or_else(|| configs.first().map(name).unwrap_or_default());
            if !chosen.contains(&config) {
                chosen.push(config);
            }
        }
        for config in configs.iter().filter(|config| chosen.contains(&name(config))) {
            for seed in setting.seeds.as_ref().unwrap_or(&claim.evaluation_seeds) {
                jobs.push(job(claim, setting, method, x, config, (Split::Evaluation, *seed))?);
            }
        }
        Ok(())
    })?;
    Ok(jobs)
}

fn for_each(claim: &Claim, mut each: impl FnMut(&Setting, &Method, Option<f64>) -> Result<()>) -> Result<()> {
    let values: Vec<Option<f64>> = match &claim.sweep {
        Some(sweep) => sweep.values.iter().map(|v| Some(*v)).collect(),
        None => vec![None],
    };
    for setting in &claim.settings {
        for method in claim.methods() {
            for x in &values {
                each(setting, method, *x)?;
            }
        }
    }
    Ok(())
}

fn job(
    claim: &Claim,
    setting: &Setting,
    method: &Method,
    x: Option<f64>,
    config: &[String],
    (split, seed): (Split, u64),
) -> Result<Job> {
    let run = claim.run.as_ref().ok_or_else(|| nothing_to_run(claim))?;
    let RunConfig { binary, verb, .. } = run;
    let swept = claim.sweep.as_ref().zip(x).map(|(sweep, x)| format!("{}={x}", sweep.key));
    let layers = [&run.overrides, &setting.overrides, &method.overrides].into_iter().flatten().cloned();
    let binary = setting.binary.as_ref().unwrap_or(binary).clone();
    if binary.is_empty() || !binary.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return Err(bad_input!("'run.binary' must be the name of one of this project's binaries, found '{binary}'"));
    }
    Ok(Job {
        split,
        method: method.name.clone(),
        setting: setting.name.clone(),
        tuned: Method::config_name(config),
        x,
        seed,
        binary,
        verb: setting.verb.as_ref().unwrap_or(verb).clone(),
        config: setting.config.clone(),
        overrides: layers.chain(config.iter().cloned()).chain(swept).collect(),
        arguments: run.arguments.clone(),
        command: setting.command.clone(),
        time_limit_s: run.time_limit_s,
    })
}

/// For claims whose records come from elsewhere.
pub fn nothing_to_run(claim: &Claim) -> anyhow::Error {
    bad_input!(
        "'run' is missing in claim {}: its records come from elsewhere; use `claims verdict RECORDS --claim`",
        claim.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::claim::tests::{SMALL, parse};

    #[test]
    fn tuning_covers_all_configs_and_evaluation_the_chosen_ones() {
        let run = "run: {binary: bridge, verb: train, overrides: [a=1], arguments: [--threads, '1']}";
        let claim = parse(&format!("{SMALL}{run}")).unwrap();
        let jobs = tuning(&claim).unwrap();
        assert_eq!(jobs.len(), 2 * 2 * 2);
        assert_eq!(jobs[1].overrides, ["a=1", "lr=0.01", "width=8"]);
        assert_eq!(jobs[1].line(), "A in one, seed 100, lr=0.01 width=8");
        let jobs = evaluation(&claim, &Records::default()).unwrap();
        assert_eq!(jobs.len(), 2 * 2 * 8);
        assert!(jobs.iter().all(|job| job.split == Split::Evaluation && job.tuned.starts_with("lr=0.1")));
    }

    #[test]
    fn binaries_are_names_not_paths() {
        let claim = parse(&format!("{SMALL}run: {{binary: ../sh, verb: train}}")).unwrap();
        assert!(tuning(&claim).unwrap_err().to_string().contains("'../sh'"));
        assert!(tuning(&parse(SMALL).unwrap()).unwrap_err().to_string().contains("elsewhere"));
    }
}
