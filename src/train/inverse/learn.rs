//! Training a score by denoising, and measuring its error as the theory's eps_a and eps_b.

use anyhow::{Result, bail};
use tch::{Kind, Tensor};

use super::config::{InverseConfig, LearnedConfig};
use super::exact::Exact;
use super::setup::Setup;
use crate::bad_input;
use crate::io::assign::assign;
use crate::io::weights::read_weights;
use crate::samplers::inverse::learned::{Fitted, LearnedScore};
use crate::torch::ema::Ema;
use crate::torch::optim::{Group, Moments, Optimizer, Rule};
use crate::torch::seed::{Stream, reseed};
use crate::train::lr_schedule::LrSchedule;
use crate::train::run::Run;

/// Updates between lines of figures.
const LOG_EVERY: u64 = 50;

/// The config's network with the weights that it names, if any, and nothing trained.
pub fn network(config: &InverseConfig, setup: &Setup) -> Result<Option<LearnedScore>> {
    let Some(learned) = &config.learned else { return Ok(None) };
    if config.score.tau <= 0.0 {
        return Err(bad_input!(
            "'score.tau' must be larger than 0 for a learned score, which is that of noised draws, found {}",
            config.score.tau
        ));
    }
    reseed(config.seed, Stream::Init, 1);
    let score = LearnedScore::new(&learned.net, &setup.problem, config.score.tau);
    if let Some(path) = &learned.weights {
        assign(&score.params.named(), &read_weights(path)?, |name| Some(name.to_string()))?;
    }
    Ok(Some(score))
}

/// The network to sample with.
pub fn trained(config: &InverseConfig, setup: &Setup) -> Result<Option<LearnedScore>> {
    match &config.learned {
        Some(LearnedConfig { weights: None, .. }) => {
            Err(bad_input!("'learned' names no weights; run `inverse train` first and give learned.weights=FILE"))
        }
        _ => network(config, setup),
    }
}

/// Minimises the denoising loss; the averaged weights stay in the network. Draws are fresh ones of the prior.
pub fn train(learned: &LearnedConfig, seed: u64, setup: &Setup, score: &LearnedScore, run: &mut Run) -> Result<()> {
    let params = score.params.named();
    let group = Group { name: "score".into(), params: score.params.named(), learning_rate: learned.learning_rate };
    let mut optimizer = Optimizer::new(Rule::Adam(Moments::default()), vec![group]);
    let mut ema = Ema::new(&params, learned.ema_decay);
    let schedule = LrSchedule::Cosine { final_fraction: 0.0 };
    run.terminal.start(0, learned.steps);
    for step in 1..=learned.steps {
        reseed(seed, Stream::Train, step);
        optimizer.zero_grad();
        let draws = setup.problem.prior.sample(learned.batch);
        let loss = tch::with_grad(|| score.loss(&draws));
        loss.backward();
        let value = loss.double_value(&[]);
        let report = optimizer.step_if(value.is_finite(), schedule.factor(step - 1, learned.steps), Some(1.0));
        if report.skipped {
            bail!("the loss or its gradient was not finite at step {step} (loss {value})");
        }
        ema.update();
        if step.is_multiple_of(LOG_EVERY) || step == learned.steps {
            run.log(step, &[("train/loss".into(), value), ("train/grad_norm".into(), report.grad_norm)])?;
            run.terminal.step(step, &[("loss", value)]);
        }
    }
    let _guard = tch::no_grad_guard();
    for ((_, p), (_, averaged)) in params.iter().zip(ema.named()) {
        p.detach().copy_(&averaged);
    }
    Ok(())
}

/// Errors of the score on fresh draws, as figures and tensors.
pub fn measure(learned: &LearnedConfig, seed: u64, setup: &Setup, score: &LearnedScore) -> Exact {
    reseed(seed, Stream::Eval, 0);
    let Fitted { eps_a, eps_b, rest, relative } = score.error(&setup.problem, learned.draws);
    let root_mean_square = |t: &Tensor| t.square().mean(Kind::Double).sqrt().double_value(&[]);
    let unit = setup.problem.mu.sqrt();
    let figures = vec![
        ("eval/score_error".to_string(), relative),
        ("eval/eps_a".to_string(), root_mean_square(&eps_a)),
        ("eval/eps_a_max".to_string(), eps_a.abs().max().double_value(&[])),
        ("eval/eps_b".to_string(), root_mean_square(&(&eps_b / &unit))),
        ("eval/eps_rest".to_string(), root_mean_square(&(&rest / &unit))),
    ];
    let tensors = vec![
        ("learned_eps_a".to_string(), eps_a),
        ("learned_eps_b".to_string(), eps_b),
        ("learned_rest".to_string(), rest),
    ];
    Exact { figures, tensors }
}
