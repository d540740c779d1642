//! Gradients of the bridge losses against independent computations on a small model in f64.

mod common;

use common::{Quartic, max_difference, simulate};
use sampler::losses::{LossConfig, PathWeights};
use sampler::losses::{log_variance::log_variance, reverse_kl::log_derivative};
use sampler::nets::NetConfig;
use sampler::samplers::DiffusionSampler;
use sampler::samplers::diffusion::ProcessConfig;
use sampler::samplers::gradient::{along_detached, through_path};
use sampler::samplers::path::{Path, Tables};
use sampler::samplers::rollout::Keep;
use sampler::targets::Counted;
use sampler::train::bridge::objective::{BridgeObjective, member};
use serde_json::json;
use tch::{Device, Kind, Tensor};

const DIM: i64 = 2;
const STEPS: i64 = 5;

/// Every process in every published form.
fn processes() -> Vec<serde_json::Value> {
    let all = [
        ("pis", "beyond_elbos", 2.0),
        ("dds", "beyond_elbos", 2.0),
        ("dis", "beyond_elbos", 2.0),
        ("dis", "udb", 0.1),
        ("cmcd", "rethinking", 0.3),
        ("cmcd", "udb", 0.1),
        ("cmcd", "beyond_elbos", 1.0),
        ("dbs", "rethinking", 0.3),
        ("dbs", "udb", 0.1),
        ("dbs", "beyond_elbos", 1.0),
    ];
    let describe = |(kind, form, noise): (&str, &str, f64)| {
        json!({"type": kind, "form": form, "noise": noise, "num_steps": STEPS, "learn_prior": true,
               "learn_noise": true, "learn_interpolation": true})
    };
    let mut list: Vec<_> = all.into_iter().map(describe).collect();
    let mut continuous = list[2].clone();
    continuous["rnd"] = json!("continuous");
    list.push(continuous);
    list
}

/// A sampler whose output layers are not at their vanishing start, so that every parameter matters.
fn sampler(process: &serde_json::Value, net: serde_json::Value) -> DiffusionSampler {
    tch::manual_seed(3);
    let process: ProcessConfig = serde_json::from_value(process.clone()).unwrap();
    let net: NetConfig = serde_json::from_value(net).unwrap();
    let sampler = DiffusionSampler::new(&process, &net, DIM, Kind::Double, Device::Cpu).unwrap();
    let _guard = tch::no_grad_guard();
    for (_, p) in sampler.params.named() {
        let mut p = p.detach();
        p += p.randn_like() * 0.1;
    }
    sampler
}

fn pis_grad() -> serde_json::Value {
    json!({"type": "pis_grad", "hidden": 8})
}

fn gradients(sampler: &DiffusionSampler) -> Vec<(String, Tensor)> {
    let mut all = Vec::new();
    for (name, p) in sampler.params.named() {
        let mut grad = p.grad();
        let copy = if grad.defined() { grad.copy() } else { p.zeros_like().detach() };
        all.push((name, copy));
        if grad.defined() {
            let _ = grad.zero_();
        }
    }
    all
}

fn assert_same(found: &[(String, Tensor)], expected: &[(String, Tensor)], what: &str) {
    for ((name, a), (_, b)) in found.iter().zip(expected) {
        let scale = b.abs().max().double_value(&[]).max(1.0);
        let error = max_difference(a, b) / scale;
        assert!(error < 1e-9, "{what}: gradient of {name} is off by {error:e}");
    }
}

/// `log q` and `log p` of stored paths, each `[N]`, as one graph: the definition, with no chunks and no cuts.
fn path_densities(sampler: &DiffusionSampler, path: &Path) -> (Tensor, Tensor) {
    let tables = Tables::new(sampler);
    let score = |j: i64| path.scores.as_ref().map(|s| s.narrow(0, j, 1));
    let (normal_forward, normal_backward) = tables.log_normalisers(DIM);
    let mut log_q = tables.record.log_prior(&path.states.select(0, 0));
    let mut log_p = path.log_target.copy();
    if let Some(terminal) = tables.record.log_terminal(&path.end()) {
        // The path's log_target already holds minus the terminal density; move it, with its graph, to q's side.
        log_p += terminal.detach();
        log_q += terminal;
    }
    for k in 0..STEPS {
        let (x, next) = (path.states.narrow(0, k, 1), path.states.narrow(0, k + 1, 1));
        let (at, at_next) = (tables.at(k, &x, score(k)), tables.at(k + 1, &next, score(k + 1)));
        log_q = log_q + tables.forward_exponent(k, &x, &next, &at).squeeze_dim(0) + normal_forward.select(0, k);
        log_p = log_p + tables.backward_exponent(k, &x, &next, &at_next).squeeze_dim(0) + normal_backward.select(0, k);
    }
    (log_q, log_p)
}

#[test]
fn stored_log_densities_are_those_of_the_definition() {
    for process in processes() {
        let sampler = sampler(&process, pis_grad());
        let path = simulate(&sampler, &Quartic, 7, Keep::States);
        let (log_q, log_p) = path_densities(&sampler, &path);
        let error = max_difference(&path.log_rnd(), &(log_q - log_p));
        assert!(error < 1e-9, "{process}: log_rnd differs by {error:e}");
    }
}

#[test]
fn chunked_gradients_equal_one_big_graph() {
    for net in [pis_grad(), json!({"type": "vanilla", "hidden": 8})] {
        for process in processes() {
            let sampler = sampler(&process, net.clone());
            let path = simulate(&sampler, &Quartic, 6, Keep::States);
            let log_rnd = path.log_rnd();
            for chunk_rows in [1, 12, 1000] {
                let check = |weights: &PathWeights, reference: &dyn Fn(&Tensor, &Tensor) -> Tensor, what: &str| {
                    along_detached(Tables::new(&sampler), &path, weights, None, chunk_rows);
                    let found = gradients(&sampler);
                    let (log_q, log_p) = path_densities(&sampler, &path);
                    reference(&log_q, &log_p).backward();
                    assert_same(&found, &gradients(&sampler), &format!("{what} {process} chunk {chunk_rows}"));
                };
                check(&log_derivative(&log_rnd), &rkl_ld_by_definition, "rkl_ld");
                check(&log_variance(&log_rnd, 1.0), &lv_by_definition, "lv");
            }
        }
    }
}

/// `mean sg(R - mean R) log q - mean log p`.
fn rkl_ld_by_definition(log_q: &Tensor, log_p: &Tensor) -> Tensor {
    let r = (log_q - log_p).detach();
    let advantage = &r - r.mean(Kind::Double);
    (advantage * log_q).mean(Kind::Double) - log_p.mean(Kind::Double)
}

fn lv_by_definition(log_q: &Tensor, log_p: &Tensor) -> Tensor {
    let r = log_q - log_p;
    (&r - r.mean(Kind::Double)).square().mean(Kind::Double)
}

#[test]
fn segments_equal_one_graph_through_the_path() {
    for process in processes() {
        let sampler = sampler(&process, pis_grad());
        tch::manual_seed(11);
        let path = simulate(&sampler, &Quartic, 6, Keep::Noise);
        through_path(&sampler, &Quartic, &path, STEPS, path.end().size()[0]);
        let whole = gradients(&sampler);
        for segment in [1, 2, 3] {
            through_path(&sampler, &Quartic, &path, segment, path.end().size()[0]);
            assert_same(&gradients(&sampler), &whole, &format!("rkl {process} segment {segment}"));
        }
    }
}

/// The reparametrised gradient is the derivative of the batch's mean log-RND at fixed noise: finite differences.
#[test]
fn the_gradient_through_the_path_is_the_derivative() {
    for process in processes() {
        let sampler = sampler(&process, json!({"type": "pis_grad", "hidden": 4, "guide": false}));
        let loss = || {
            tch::manual_seed(5);
            simulate(&sampler, &Quartic, 9, Keep::Noise).log_rnd().mean(Kind::Double).double_value(&[])
        };
        tch::manual_seed(5);
        let path = simulate(&sampler, &Quartic, 9, Keep::Noise);
        through_path(&sampler, &Quartic, &path, 2, path.end().size()[0]);
        let step = 1e-6;
        for ((name, grad), (_, p)) in gradients(&sampler).into_iter().zip(sampler.params.named()) {
            let (flat, grad) = (p.detach().view([-1]), grad.view([-1]));
            for i in [0, flat.size()[0] - 1] {
                let mut entry = flat.narrow(0, i, 1);
                let mut moved = |by: f64| {
                    entry += by;
                    loss()
                };
                let slope = (moved(step) - moved(-2.0 * step)) / (2.0 * step);
                moved(step);
                let found = grad.double_value(&[i]);
                let error = (found - slope).abs() / slope.abs().max(1.0);
                assert!(error < 1e-5, "{process}: d loss / d {name}[{i}] is {found}, finite difference {slope}");
            }
        }
    }
}

/// Section 1.1's point: on one batch, half the LV gradient *is* the rKL-LD gradient for what stands in q alone, and is
/// not for what stands in p (the backward network) or in both (the noise scale, the interpolation).
#[test]
fn half_lv_is_rkl_ld_exactly_where_only_q_is_concerned() {
    let sampler = sampler(&processes()[7], pis_grad());
    let path = simulate(&sampler, &Quartic, 64, Keep::States);
    let log_rnd = path.log_rnd();
    along_detached(Tables::new(&sampler), &path, &log_variance(&log_rnd, 0.5), None, 256);
    let half_lv = gradients(&sampler);
    along_detached(Tables::new(&sampler), &path, &log_derivative(&log_rnd), None, 256);
    for ((name, lv), (_, ld)) in half_lv.iter().zip(gradients(&sampler)) {
        let gap = max_difference(lv, &ld) / ld.abs().max().double_value(&[]).max(1e-3);
        if name.starts_with("net.forward") || name.starts_with("prior") && name.ends_with("mean") {
            assert!(gap < 1e-9, "{name} stands in q alone, yet half LV and rKL-LD differ by {gap:e}");
        } else if name.starts_with("net.backward") || name.starts_with("noise") {
            assert!(gap > 1e-2, "{name} stands in p, yet half LV and rKL-LD agree to {gap:e}");
        }
    }
}

/// In expectation the log-derivative gradient is the reparametrised one, shared parameters included.
#[test]
fn the_log_derivative_gradient_estimates_the_gradient_through_the_path() {
    for process in [&processes()[4], &processes()[7]] {
        let sampler = sampler(process, json!({"type": "pis_grad", "hidden": 4, "guide": false}));
        let rounds = 20;
        let mut differences: Vec<Vec<Tensor>> = Vec::new();
        for round in 0..rounds {
            tch::manual_seed(100 + round);
            let path = simulate(&sampler, &Quartic, 500, Keep::Noise);
            along_detached(Tables::new(&sampler), &path, &log_derivative(&path.log_rnd()), None, 4000);
            let log_derivative = gradients(&sampler);
            through_path(&sampler, &Quartic, &path, STEPS, path.end().size()[0]);
            let pairs = log_derivative.iter().zip(gradients(&sampler));
            differences.push(pairs.map(|((_, a), (_, b))| a - b).collect());
        }
        for (i, (name, _)) in sampler.params.named().iter().enumerate() {
            let stack = Tensor::stack(&differences.iter().map(|d| d[i].view([-1])).collect::<Vec<_>>(), 0);
            let error = stack.std_dim(0, true, false) / (rounds as f64).sqrt();
            let z = (stack.mean_dim(0, false, Kind::Double) / (error + 1e-12)).abs().max().double_value(&[]);
            assert!(z < 5.0, "{process}: {name} is biased by {z} standard errors");
        }
    }
}

#[test]
fn trajectory_and_sub_trajectory_balance_are_stationary_only_at_balance() {
    for loss in [json!({"type": "tb"}), json!({"type": "subtb"}), json!({"type": "subtb", "partial_energy": true})] {
        let loss: LossConfig = serde_json::from_value(loss).unwrap();
        let sampler = sampler(&processes()[4], pis_grad());
        let mut objective = BridgeObjective::new(member(sampler, Counted::new(Box::new(Quartic)), &loss), loss, 16, 8);
        let value = |objective: &mut BridgeObjective| {
            tch::manual_seed(1);
            objective.update().loss
        };
        let before = value(&mut objective);
        // One small step of gradient descent on the same batch lowers the loss by about rate · |g|².
        let grads = gradients(objective.sampler());
        let squared: f64 = grads.iter().map(|(_, g)| g.square().sum(Kind::Double).double_value(&[])).sum();
        assert!(squared > 0.0 && before.is_finite());
        assert!(objective.sampler().dim == DIM && grads.iter().any(|(name, _)| name.starts_with("loss")));
        let along_loss: f64 = grads
            .iter()
            .filter(|(name, _)| name.starts_with("loss"))
            .map(|(_, g)| g.square().sum(Kind::Double).double_value(&[]))
            .sum();
        let rate = 1e-7 / along_loss.max(1e-12);
        for (name, p) in objective.sampler().params.named() {
            if let Some((_, g)) = grads.iter().find(|(n, _)| *n == name && n.starts_with("loss")) {
                let mut p = p.detach();
                p -= g * rate;
            }
        }
        // What the loss alone owns (log Z, the flow) moves no path, so the decrease is exactly first order.
        let drop = (before - value(&mut objective)) / 1e-7;
        assert!((drop - 1.0).abs() < 1e-2, "the loss fell by {drop} of what its gradient promised");
    }
}

/// Three members that divide a batch find the paths and the gradient of one that has it all.
#[test]
fn a_team_of_three_equals_one() {
    let losses = ["rkl_ld", "lv", "rkl", "tb", "subtb"];
    for loss in losses.map(|name| serde_json::from_value::<LossConfig>(json!({"type": name})).unwrap()) {
        let build = || member(sampler(&processes()[4], pis_grad()), Counted::new(Box::new(Quartic)), &loss);
        let mut one = BridgeObjective::new(build(), loss.clone(), 17, 8);
        let mut three = BridgeObjective::new(build(), loss.clone(), 17, 8);
        three.team.add(build());
        three.team.add(build());
        for seed in 0..3 {
            let update = |objective: &mut BridgeObjective| {
                tch::manual_seed(seed);
                objective.update().loss
            };
            let (a, b) = (update(&mut one), update(&mut three));
            assert!((a - b).abs() < 1e-10 * a.abs().max(1.0), "{}: losses {a} and {b}", loss.name());
            assert_same(&gradients(three.sampler()), &gradients(one.sampler()), loss.name());
        }
        assert_eq!(three.team.calls(), one.team.calls());
    }
}
