//! Every broken config, and every slip on the command line, given to the real binary: status 2, one line, no run folder.

#[path = "common/bridge_binary.rs"]
mod bridge_binary;
#[path = "common/broken_configs.rs"]
mod broken_configs;

use std::fs;

use bridge_binary::{Said, Sandbox};
use broken_configs::{Broken, SOUND, broken_configs};

/// What is wrong with the answer to a broken config, if anything is.
fn fault(case: &Broken) -> Option<String> {
    let sandbox = Sandbox::new(SOUND);
    fs::remove_file(sandbox.path("run.yaml")).unwrap();
    for (name, text) in &case.beside {
        fs::write(sandbox.path(name), text).unwrap();
    }
    if let Some(yaml) = &case.yaml {
        fs::write(sandbox.path("config.yaml"), yaml).unwrap();
    }
    let before = files(&sandbox);

    let arguments = [&["train", "config.yaml", "--device", "cpu"], case.overrides.as_slice()].concat();
    let said = Said::from(sandbox.command(&arguments).output().unwrap());
    let lines: Vec<&str> = said.err.lines().collect();
    let one_line = lines.len() == 1 && lines[0].starts_with("error: ") && lines[0].len() < 600;
    let wrong = [
        (said.status != Some(2)).then(|| format!("status {:?}", said.status)),
        (!one_line || !said.out.is_empty()).then(|| "not one line on stderr".to_string()),
        case.says.iter().find(|part| !said.err.contains(*part)).map(|part| format!("does not say {part:?}")),
        (files(&sandbox) != before).then(|| format!("leaves {:?}", files(&sandbox))),
    ];
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    (!wrong.is_empty()).then(|| format!("{}: {}\n    {}", case.name, wrong.join(", "), said.err.trim_end()))
}

/// The faults found in all cases. Most of a case's time is the loading of libtorch, so two are under way at once.
fn faults<T: Sync>(cases: &[T], fault: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let (first, second) = cases.split_at(cases.len() / 2);
    let check = |part: &[T]| part.iter().filter_map(&fault).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let others = scope.spawn(|| check(second));
        let mut found = check(first);
        found.extend(others.join().unwrap());
        found
    })
}

fn files(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path("")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_broken_config_is_answered_in_one_line_and_leaves_nothing() {
    let cases = broken_configs();
    assert!(cases.len() >= 60, "{}", cases.len());
    let faults = faults(&cases, fault);
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

/// Mistakes in keys that only a bridge config has: overrides of a sound config, and what the line must say.
const OF_THE_BRIDGE: [(&[&str], &[&str]); 44] = [
    (&["precision=f16"], &["'precision'", "f32, f64"]),
    (&["precision=64"], &["'precision' cannot be 64", "f32, f64"]),
    (&["seed=1.5"], &["'seed'", "1.5"]),
    (&["target.dim=1"], &["'target.dim' must be 2 or larger"]),
    (&["target.dim=9223372036854775807"], &["'target.dim' must be 1000000 or smaller"]),
    (&["target.std=0"], &["'target.std'", "larger than 0"]),
    (&["target={type: gaussian, dim: 2, mean: [0, 0, 0]}"], &["'target.mean'", "list of 2", "list of 3"]),
    (&["target={type: gaussian, dim: 2, std: [1, .inf]}"], &["'target.std.1'", "finite"]),
    (&["target={type: sonar, data: nowhere.csv}"], &["config.yaml", "nowhere.csv: file not found", "make data"]),
    (&["target={type: gmm40, dim: 0}"], &["'target.dim' must be 1 or larger"]),
    (&["target={type: many_well}"], &["missing key 'target.dim'"]),
    (&["target={type: lennard_jones, particles: -3}"], &["'target.particles'", "-3"]),
    (&["process.num_steps=1000000000"], &["'process.num_steps'", "100000"]),
    (&["process.noise=0"], &["'process.noise'", "larger than 0"]),
    (&["process.noise=.inf"], &["'process.noise'", "finite"]),
    (&["process.prior_std=-1"], &["'process.prior_std'", "-1"]),
    (&["process.form=udbb"], &["'process.form'", "did you mean 'udb'?"]),
    (&["process.form=udb", "process.type=pis"], &["'process.form'", "beyond_elbos"]),
    (&["process.rnd=continuous"], &["'process.rnd'", "kernels"]),
    (&["process.learn_noise=maybe"], &["'process.learn_noise'", "true or false"]),
    (&["process.learn_noise=yes"], &["'process.learn_noise'", "write true"]),
    (&["process={type: dis, rnd: continuous}", "loss.type=subtb"], &["'loss.type'", "process.rnd=kernels"]),
    (&["net.hidden=100000"], &["'net.hidden'", "8192"]),
    (&["net.layers=0"], &["'net.layers'", "0"]),
    (&["net.gain_bias=.inf"], &["'net.gain_bias'", "finite"]),
    (&["net.guide=3"], &["'net.guide'", "true or false"]),
    (&["loss={type: tb, log_z_learning_rate: -1}"], &["'loss.log_z_learning_rate'", "-1"]),
    (&["loss={type: tb, log_z_init: .inf}"], &["'loss.log_z_init'", "finite"]),
    (&["loss={type: subtb, lambda: 0}"], &["'loss.lambda'", "larger than 0"]),
    (&["loss={type: rkl, segment: 0}"], &["'loss.segment'", "0"]),
    (&["train.batch=1"], &["'train.batch'", "2 and"]),
    (&["train.steps=1000000000000"], &["'train.steps'", "1000000000"]),
    (&["train.ema_decay=1.5"], &["'train.ema_decay'", "between 0 and 1"]),
    (&["train.optimizer.type=adamm"], &["'train.optimizer.type'", "did you mean 'adam'?"]),
    (&["train.optimizer={type: adam, beta1: 1}"], &["'train.optimizer.beta1'", "less than 1"]),
    (&["train.optimizer=adam"], &["'train.optimizer'", "{type: adam}"]),
    (&["train.schedule={type: cosine, final_fraction: 2}"], &["'train.schedule.final_fraction'", "between 0 and 1"]),
    (&["train.log_every=0"], &["'train.log_every'", "1 or larger"]),
    (&["train.max_skipped=0"], &["'train.max_skipped'", "1 or larger"]),
    (&["eval.samples=10000000000"], &["'eval.samples'", "10000000"]),
    (&["eval.distances=sometimes"], &["'eval.distances'", "never, last, always"]),
    (&["eval.sinkhorn.eps=1"], &["'eval.sinkhorn.eps'", "did you mean 'epsilon'?"]),
    (&["eval.sinkhorn.epsilon=0"], &["'eval.sinkhorn.epsilon'", "positive"]),
    (&["eval.mmd.type=gaussian"], &["'eval.mmd' cannot be a mapping", "median_gaussian"]),
];

#[test]
fn every_mistake_in_a_key_of_the_bridge_is_answered_likewise() {
    let case = |(overrides, says): &(&[&'static str], &[&'static str])| Broken {
        name: overrides[0],
        yaml: Some(SOUND.into()),
        beside: Vec::new(),
        overrides: overrides.to_vec(),
        says: says.to_vec(),
    };
    let faults = faults(&OF_THE_BRIDGE, |mistake| fault(&case(mistake)));
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), OF_THE_BRIDGE.len(), faults.join("\n"));
}

#[test]
fn slips_on_the_command_line_are_one_line_too() {
    let sandbox = Sandbox::new(SOUND);
    fs::create_dir(sandbox.path("empty")).unwrap();
    let cases: [(&[&str], &str); 18] = [
        (&["train"], "CONFIG"),
        (&["trian", "run.yaml"], "'train'"),
        (&["train", "run.yaml", "--sed", "3"], "'--seed'"),
        (&["train", "run.yaml", "--seed", "many"], "'many'"),
        (&["train", "run.yaml", "--threads", "0"], "--threads"),
        (&["train", "run.yaml", "--device", "tpu"], "auto, cpu, cuda"),
        (&["train", "run.yaml", "--device", "cuda:99"], "cuda:99"),
        (&["train", "run.yaml", "--out", "run.yaml"], "is a file"),
        (&["train", "run.yaml", "--out", "run.yaml/below"], "cannot be created"),
        (&["train", "run.yaml", "--out", "."], "is not empty"),
        (&["train", "run.yaml", "seed=0,1", "--out", "two"], "--out names one folder"),
        (&["train", "run.yaml", "seed=0,"], "'seed=0,'"),
        (&["eval", "nowhere"], "nowhere"),
        (&["eval", "empty"], "empty"),
        (&["sample", "empty", "--n", "0", "--out", "s"], "--n"),
        (&["sample", "empty"], "--out"),
        (&["compare", "nowhere"], "nowhere"),
        (&["compare", "empty"], "no run folder"),
    ];
    let before = files(&sandbox);
    for (arguments, part) in cases {
        let said = sandbox.run(sandbox.command(arguments), 2);
        assert!(said.complaint().contains(part) && said.err.lines().count() == 1, "{arguments:?}: {}", said.err);
        assert!(said.out.is_empty() && files(&sandbox) == before, "{arguments:?} left {:?}", files(&sandbox));
    }
}
