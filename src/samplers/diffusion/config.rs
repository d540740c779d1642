//! Configuration of diffusion samplers: which process, in whose discretisation.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;

/// The sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Path integral sampler (Zhang and Chen, 2022): Brownian motion from the origin, controlled.
    Pis,
    /// Denoising diffusion sampler (Vargas et al., 2023): stationary Ornstein-Uhlenbeck chain, controlled.
    Dds,
    /// Time-reversed diffusion sampler (Berner et al., 2024): reversal of a noising diffusion.
    Dis,
    /// Controlled Monte Carlo diffusion (Vargas et al., 2024): annealed Langevin, one control for both directions.
    Cmcd,
    /// Diffusion bridge sampler (Richter and Berner, 2024): both drifts learned.
    Dbs,
}

/// Whose discretisation of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// "Rethinking Losses for Diffusion Bridge Samplers": unit steps, one deviation per dimension, all learnable.
    Rethinking,
    /// "Underdamped Diffusion Bridges", overdamped family: decaying step sizes.
    Udb,
    /// "Beyond ELBOs": continuous time on [0, 1] with cosine noise.
    BeyondElbos,
}

/// How the log-RND is summed (see [`crate::processes::Rnd`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RndForm {
    /// Discrete kernels: unbiased importance weights.
    Kernels,
    /// Continuous-time Girsanov sum, as the "Beyond ELBOs" code does for DIS.
    Continuous,
}

/// The `process:` section. What is left out takes the named form's default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessConfig {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Default: `rethinking` for CMCD and DBS, `beyond_elbos` for PIS, DDS and DIS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// Steps of the chain, `T`.
    #[serde(default = "default_num_steps")]
    pub num_steps: i64,
    /// Scale of the noise: beta_max (rethinking), step size (udb), sigma or diffusion maximum (beyond_elbos).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
    /// Standard deviation of the prior at the start of training.
    #[serde(default = "one")]
    pub prior_std: f64,
    /// Whether mean and deviation of the prior are learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_prior: Option<bool>,
    /// Whether the noise scale is learned (one factor per dimension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_noise: Option<bool>,
    /// Whether the interpolation between prior and target is learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_interpolation: Option<bool>,
    #[serde(default = "kernels")]
    pub rnd: RndForm,
}

fn default_num_steps() -> i64 {
    128
}

fn one() -> f64 {
    1.0
}

fn kernels() -> RndForm {
    RndForm::Kernels
}

/// A [`ProcessConfig`] with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    pub kind: Kind,
    pub form: Form,
    pub num_steps: i64,
    pub noise: f64,
    pub prior_std: f64,
    pub learn_prior: bool,
    pub learn_noise: bool,
    pub learn_interpolation: bool,
    pub rnd: RndForm,
}

impl ProcessConfig {
    /// Checks the section and fills in the defaults of its form.
    pub fn resolve(&self) -> Result<Process> {
        let form = self.form.unwrap_or(match self.kind {
            Kind::Cmcd | Kind::Dbs => Form::Rethinking,
            _ => Form::BeyondElbos,
        });
        self.check_form(form)?;
        let process = Process {
            kind: self.kind,
            form,
            num_steps: self.num_steps,
            noise: self.noise.unwrap_or(default_noise(self.kind, form)),
            prior_std: self.prior_std,
            learn_prior: self.learn_prior.unwrap_or(form != Form::BeyondElbos),
            learn_noise: self.learn_noise.unwrap_or(form == Form::Rethinking),
            learn_interpolation: self.learn_interpolation.unwrap_or(self.kind == Kind::Cmcd),
            rnd: self.rnd,
        };
        process.check()?;
        Ok(process)
    }

    /// The section with every default written out, for the run folder's `config.yaml`.
    pub fn resolved(&self) -> Result<Self> {
        let p = self.resolve()?;
        Ok(Self {
            kind: p.kind,
            form: Some(p.form),
            num_steps: p.num_steps,
            noise: Some(p.noise),
            prior_std: p.prior_std,
            learn_prior: Some(p.learn_prior),
            learn_noise: Some(p.learn_noise),
            learn_interpolation: Some(p.learn_interpolation),
            rnd: p.rnd,
        })
    }

    /// Whether the backward drift has a network of its own.
    pub fn separate_networks(&self) -> bool {
        self.kind == Kind::Dbs
    }

    fn check_form(&self, form: Form) -> Result<()> {
        let allowed: &[&str] = match self.kind {
            Kind::Pis | Kind::Dds => &["beyond_elbos"],
            Kind::Dis => &["beyond_elbos", "udb"],
            Kind::Cmcd | Kind::Dbs => &["rethinking", "udb", "beyond_elbos"],
        };
        let name = plain_name(&form);
        if !allowed.contains(&name.as_str()) {
            let kind = plain_name(&self.kind);
            return Err(bad_input!(
                "'process.form': {name} is not published for {kind}; expected {}",
                allowed.join(" or ")
            ));
        }
        let continuous = self.rnd == RndForm::Continuous;
        if continuous && !(self.kind == Kind::Dis && form == Form::BeyondElbos) {
            return Err(bad_input!(
                "'process.rnd': continuous belongs to type dis in form beyond_elbos; expected kernels"
            ));
        }
        Ok(())
    }
}

impl Process {
    fn check(&self) -> Result<()> {
        check::in_range("process.num_steps", self.num_steps, 1, 100_000)?;
        check::positive("process.noise", self.noise)?;
        check::positive("process.prior_std", self.prior_std)
    }
}

/// Published scales where the config names none.
fn default_noise(kind: Kind, form: Form) -> f64 {
    match (kind, form) {
        (_, Form::Rethinking) => 0.1,
        (_, Form::Udb) => 0.01,
        (Kind::Pis, _) => 4.0,
        (Kind::Dds, _) => 6.0,
        _ => 10.0,
    }
}

/// The YAML name of a plain enum value.
fn plain_name<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(String::from)).unwrap_or_default()
}
