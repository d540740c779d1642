//! What verdicts promise: wrong ones are as rare as declared, intervals cover, power is as predicted, and an unfair
//! experiment supports nothing. By simulation under fixed seeds; bounds are five standard errors of the count.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use sampler::claims::judge::{Judgement, Verdict, judge};
use sampler::claims::record::Split;
use sampler::claims::stats::power::power;
use sampler::claims::{Claim, Record, Records};
use serde_json::{Value, json};

const REPLICATES: usize = 2000;
const ALPHA: f64 = 0.05;
const UNITS: usize = 8;

fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A claim that A beats B in `settings` settings.
fn claim(assertion: Value, settings: usize) -> Claim {
    let settings: Vec<Value> = (0..settings).map(|i| json!({"name": format!("s{i}")})).collect();
    let claim: Claim = serde_json::from_value(json!({
        "id": "simulated", "text": "", "source": "", "assertion": assertion, "metrics": [{"name": "score"}],
        "method": {"name": "A"}, "baselines": [{"name": "B"}], "settings": settings, "alpha": ALPHA,
        "budget": {"measure": "calls"}, "evaluation_seeds": (0..UNITS).collect::<Vec<_>>(),
        "bootstrap": {"draws": 0},
    }))
    .unwrap();
    claim.validate().unwrap();
    claim
}

fn superiority(quantifier: &str, delta: f64) -> Value {
    json!({"type": "superiority", "quantifier": quantifier, "delta": delta})
}

fn record(method: &str, setting: usize, unit: usize, value: f64) -> Record {
    Record {
        method: method.into(),
        setting: format!("s{setting}"),
        unit: unit.to_string(),
        status: "done".into(),
        metrics: [("score".to_string(), value)].into_iter().collect(),
        budget: [("calls".to_string(), 100.0)].into_iter().collect(),
        ..Record::default()
    }
}

/// Records in which A is better by `effects[s]` in setting s, with differences of deviation 1.
fn records(random: &mut ChaCha8Rng, effects: &[f64]) -> Records {
    let mut all = Records::default();
    for (setting, effect) in effects.iter().enumerate() {
        for unit in 0..UNITS {
            let baseline = normal(random);
            all.observations.push(record("B", setting, unit, baseline));
            all.observations.push(record("A", setting, unit, baseline + effect + normal(random)));
        }
    }
    all
}

/// Judgements of many replicates.
fn replicates(assertion: Value, effects: &[f64], seed: u64, mut each: impl FnMut(Judgement)) {
    let (claim, mut random) = (claim(assertion, effects.len()), ChaCha8Rng::seed_from_u64(seed));
    (0..REPLICATES).for_each(|_| each(judge(&claim, &records(&mut random, effects))));
}

/// How often each verdict falls: supported, refuted.
fn verdicts(assertion: Value, effects: &[f64], seed: u64) -> (f64, f64) {
    let mut count = [0.0; 2];
    replicates(assertion, effects, seed, |judgement| match judgement.verdict {
        Verdict::Supported => count[0] += 1.0,
        Verdict::Refuted => count[1] += 1.0,
        Verdict::Inconclusive => {}
    });
    (count[0] / REPLICATES as f64, count[1] / REPLICATES as f64)
}

/// Five standard errors of a share `p`.
fn slack(p: f64) -> f64 {
    5.0 * (p * (1.0 - p) / REPLICATES as f64).sqrt()
}

#[test]
fn one_null_setting_is_decided_wrongly_at_the_level() {
    let (supported, refuted) = verdicts(superiority("all", 0.0), &[0.0], 1);
    for share in [supported, refuted] {
        assert!((share - ALPHA / 2.0).abs() < slack(ALPHA / 2.0), "{supported} {refuted}");
    }
    // A claim of more than there is: the same at its border, and refuted surely far below it.
    let (supported, _) = verdicts(superiority("all", 0.7), &[0.7], 2);
    assert!((supported - ALPHA / 2.0).abs() < slack(ALPHA / 2.0), "{supported}");
    assert!(verdicts(superiority("all", 4.0), &[0.7], 3).1 > 0.99);
}

#[test]
fn the_p_of_a_null_is_uniform_where_it_matters() {
    let mut below = 0.0;
    replicates(superiority("all", 0.0), &[0.0], 4, |j| below += f64::from(u8::from(j.tests[0].p.unwrap() < ALPHA)));
    let share = below / REPLICATES as f64;
    assert!((share - ALPHA).abs() < slack(ALPHA), "{share}");
}

#[test]
fn all_some_and_average_keep_the_level() {
    // "All" is wrong already where one of many does not hold.
    let (all, _) = verdicts(superiority("all", 0.0), &[9.0, 9.0, 0.0], 5);
    assert!((all - ALPHA / 2.0).abs() < slack(ALPHA / 2.0), "{all}");
    // Every setting of "some" is null: the correction keeps the chance of any support.
    let (some, _) = verdicts(superiority("some", 0.0), &[0.0; 5], 6);
    assert!(some < ALPHA + slack(ALPHA) && some > ALPHA / 4.0, "{some}");
    let (average, against) = verdicts(superiority("average", 0.0), &[0.0; 4], 7);
    for share in [average, against] {
        assert!((share - ALPHA / 2.0).abs() < slack(ALPHA / 2.0), "{average} {against}");
    }
    // Refutation of "all" in any of five null settings is held down by simultaneous intervals.
    let (_, refuted) = verdicts(superiority("all", 0.0), &[0.0; 5], 8);
    assert!(refuted < ALPHA / 2.0 + slack(ALPHA / 2.0), "{refuted}");
}

#[test]
fn equivalence_is_not_shown_at_its_border() {
    let assertion = json!({"type": "equivalence", "quantifier": "all", "delta": 2.0});
    let (supported, _) = verdicts(assertion.clone(), &[2.0], 9);
    assert!((supported - ALPHA).abs() < slack(ALPHA), "{supported}");
    assert!(verdicts(assertion, &[0.0], 10).0 > 0.9);
}

#[test]
fn intervals_cover_and_power_is_as_predicted() {
    let (mut covered, mut together, mut supported) = (0.0, 0.0, 0.0);
    let effects = [0.8, 0.8, 0.8];
    replicates(superiority("all", 0.0), &effects, 11, |judgement| {
        let holds = |low: Option<f64>, high: Option<f64>| low.unwrap() <= 0.8 && 0.8 <= high.unwrap();
        let cells = &judgement.tests[..3];
        covered += cells.iter().filter(|t| holds(t.ci_low, t.ci_high)).count() as f64 / 3.0;
        together += f64::from(u8::from(cells.iter().all(|t| holds(t.simultaneous_low, t.simultaneous_high))));
        supported += cells.iter().filter(|t| t.ci_low.unwrap() > 0.0).count() as f64 / 3.0;
    });
    let n = REPLICATES as f64;
    assert!((covered / n - 0.95).abs() < slack(0.95), "{}", covered / n);
    assert!(together / n > 0.95 - slack(0.95) && together / n < 0.97, "{}", together / n);
    let predicted = power(0.8, 1.0, UNITS, ALPHA / 2.0);
    assert!((supported / n - predicted).abs() < slack(predicted), "{} {predicted}", supported / n);
}

#[test]
fn unequal_budgets_are_never_supported() {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let claim = claim(superiority("all", 0.0), 2);
    let sound = records(&mut random, &[20.0, 20.0]);
    assert_eq!(judge(&claim, &sound).verdict, Verdict::Supported);

    let mut spoilt: Vec<(&str, Records)> = Vec::new();
    let changed = |change: &dyn Fn(&mut Record)| {
        let mut records = sound.clone();
        records.observations.iter_mut().filter(|r| r.method == "A").for_each(change);
        records
    };
    for factor in [1.2, 3.0, 0.5] {
        spoilt.push(("the budgets are unequal", changed(&|r| *r.budget.get_mut("calls").unwrap() *= factor)));
    }
    spoilt.push(("do not give calls", changed(&|r| r.budget.clear())));
    // The method tried two configs, its baseline one.
    let mut more = sound.clone();
    let tried: Vec<Record> = sound.observations.iter().filter(|r| r.method == "A").cloned().collect();
    for (i, mut record) in tried.into_iter().enumerate() {
        (record.split, record.unit) = (Split::Tuning, format!("t{i}"));
        record.config = if i % 2 == 0 { "" } else { "other" }.into();
        more.observations.push(record);
    }
    spoilt.push(("configs 2 and 1", more));
    for (reason, records) in spoilt {
        let judgement = judge(&claim, &records);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{reason}");
        assert!(judgement.reasons.iter().any(|r| r.contains(reason)), "{reason}: {:?}", judgement.reasons);
    }
}

#[test]
fn gaps_failures_and_shared_seeds_are_never_supported() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let claim = claim(superiority("all", 0.0), 1);
    let sound = records(&mut random, &[20.0]);
    let mut missing = sound.clone();
    missing.observations.remove(3);
    let mut failed = sound.clone();
    failed.observations[1].status = "failed".into();
    let mut shared = sound.clone();
    let mut tuned = sound.observations[1].clone();
    tuned.split = Split::Tuning;
    shared.observations.push(tuned);
    for (reason, records) in
        [("missing seed 1", missing), ("failed runs of the method: 0", failed), ("winner's curse", shared)]
    {
        let judgement = judge(&claim, &records);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{reason}");
        assert!(judgement.reasons.iter().any(|r| r.contains(reason)), "{reason}: {:?}", judgement.reasons);
    }
    // A baseline that fails where the method does not is no obstacle; a refutation stands in spite of the baseline's gaps.
    let mut failed = sound.clone();
    failed.observations[0].status = "failed".into();
    assert_eq!(judge(&claim, &failed).verdict, Verdict::Supported);
    let mut worse = records(&mut random, &[-20.0]);
    worse.observations.remove(2);
    assert_eq!(judge(&claim, &worse).verdict, Verdict::Refuted);
}

#[test]
fn choosing_among_many_null_configs_supports_nothing_beyond_the_level() {
    let mut random = ChaCha8Rng::seed_from_u64(14);
    let mut claim = claim(superiority("all", 0.0), 1);
    claim.tuning_seeds = vec![100];
    claim.budget.configs = 6;
    let mut supported = 0.0;
    let runs = 500;
    for _ in 0..runs {
        let mut all = Records::default();
        for config in 0..6 {
            for (split, units) in [(Split::Tuning, 100..101), (Split::Evaluation, 0..UNITS)] {
                for unit in units {
                    for method in ["A", "B"] {
                        let mut one = record(method, 0, unit, normal(&mut random));
                        (one.split, one.config) = (split, format!("c{config}"));
                        all.observations.push(one);
                    }
                }
            }
        }
        let judgement = judge(&claim, &all);
        assert_eq!(judgement.equal_n[0].curves[0].configs, 6);
        supported += f64::from(u8::from(judgement.verdict == Verdict::Supported));
    }
    let share = supported / f64::from(runs);
    assert!(share < 0.025 + 5.0 * (0.025f64 * 0.975 / f64::from(runs)).sqrt(), "{share}");
}
