//! The statistics of claims against numbers from elsewhere; tests/fixtures/claims/README.md says whence.

use sampler::claims::stats::paired::Paired;
use sampler::claims::stats::{aggregate, best_of, bootstrap, correction, distributions, permutation, ranks, rate};
use serde_json::Value;

const TIGHT: f64 = 1e-9;

fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/claims/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[track_caller]
fn close(what: &str, found: f64, expected: &Value, tolerance: f64) {
    let expected = number(expected);
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{what}: {found} is not {expected}");
}

/// The differences of one of the twelve tests, from how often each value occurs.
fn differences(counted: &Value) -> Vec<f64> {
    let (values, counts) = (list(&counted["differences"]), list(&counted["counts"]));
    values.iter().zip(counts).flat_map(|(value, count)| vec![*value; count as usize]).collect()
}

#[test]
fn twelve_paired_tests() {
    let (claimcheck, counted) = (fixture("claimcheck.json"), fixture("differences.json"));
    let tests = claimcheck["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 12);
    let mut p = Vec::new();
    for (expected, counted) in tests.iter().zip(counted.as_array().unwrap()) {
        assert_eq!(expected["comparison"], counted["comparison"]);
        let differences = differences(counted);
        let raw = Paired::of(&differences);
        let (n, mean, sd) = (&expected["n"], number(&expected["mean_diff"]), number(&expected["sd_diff"]));
        let summary = Paired::from_summary(n.as_u64().unwrap() as usize, mean, sd);
        for paired in [raw, summary] {
            close("t", paired.t(0.0), &expected["t"], TIGHT);
            close("df", paired.df, &expected["df"], TIGHT);
            close("p", paired.p_greater(0.0), &expected["p_one_sided"], TIGHT);
            close("d_z", paired.cohen_dz(), &expected["cohen_dz"], TIGHT);
            close("g_z", paired.hedges_gz(), &expected["hedges_gz"], TIGHT);
            close("low", paired.interval(0.95).0, &expected["ci95_two_sided"][0], TIGHT);
            close("high", paired.interval(0.95).1, &expected["ci95_two_sided"][1], TIGHT);
            close("bound", paired.lower_bound(0.95), &expected["ci95_lower_one_sided"], TIGHT);
        }
        p.push(raw.p_greater(0.0));

        let signed = ranks::signed_ranks(&differences, 0.0);
        close("W", signed.w, &expected["wilcoxon_W"], TIGHT);
        close("Wilcoxon p", signed.p, &expected["wilcoxon_p"], TIGHT);
        close("with continuity", signed.p_continuity, &expected["wilcoxon_p_continuity"], TIGHT);
        close("wins", ranks::share_of_wins(&differences), &expected["prob_improvement"], TIGHT);
    }

    let columns = [
        ("p_bonferroni", correction::bonferroni(&p)),
        ("p_holm", correction::holm(&p)),
        ("p_bh", correction::benjamini_hochberg(&p)),
    ];
    for (key, adjusted) in columns {
        tests.iter().zip(adjusted).for_each(|(test, found)| close(key, found, &test[key], TIGHT));
    }
    summary_of_the_tests(&claimcheck["summary"], tests, &p);
}

fn summary_of_the_tests(summary: &Value, tests: &[Value], p: &[f64]) {
    let below = |p: &[f64], level: f64| p.iter().filter(|p| **p < level).count() as u64;
    for (level, name) in [(0.05, "0p05"), (0.01, "0p01")] {
        assert_eq!(below(p, level), summary[format!("n_raw_lt_{name}")].as_u64().unwrap());
        assert_eq!(below(&correction::bonferroni(p), level), summary[format!("n_bonf_lt_{name}")].as_u64().unwrap());
    }
    assert_eq!(below(&correction::holm(p), 0.05), summary["n_holm_lt_0p05"].as_u64().unwrap());
    assert_eq!(below(&correction::benjamini_hochberg(p), 0.05), summary["n_bh_lt_0p05"].as_u64().unwrap());
    close("IUT", correction::intersection_union(p), &summary["iut_p_all12"], TIGHT);

    for metric in ["Quality", "Diversity"] {
        let of_metric = |test: &&Value| test["metric"] == metric;
        let of: Vec<f64> = tests.iter().zip(p).filter(|(test, _)| of_metric(test)).map(|(_, p)| *p).collect();
        close(metric, correction::intersection_union(&of), &summary[format!("iut_p_{}", metric.to_lowercase())], TIGHT);
        for (baseline, key) in [("Top-p", "topp"), ("Basic", "basic")] {
            let comparison = format!("Min-p > {baseline}");
            let chosen = tests.iter().filter(|t| of_metric(t) && t["comparison"] == comparison);
            let strata: Vec<Paired> =
                chosen.map(|t| Paired::from_summary(53, number(&t["mean_diff"]), number(&t["sd_diff"]))).collect();
            assert_eq!(strata.len(), 3);
            let key = format!("pooled_{metric}_minp_vs_{key}_p_one_sided_paired");
            close(&key, Paired::pooled(&strata).p_greater(0.0), &summary[&key], TIGHT);
        }
    }
}

#[test]
fn bootstrap_intervals_agree_within_monte_carlo_error() {
    let (claimcheck, counted) = (fixture("claimcheck.json"), fixture("differences.json"));
    for (expected, counted) in claimcheck["tests"].as_array().unwrap().iter().zip(counted.as_array().unwrap()) {
        let differences = differences(counted);
        let error = Paired::of(&differences).error;
        let got = bootstrap::bootstrap(&[differences], &bootstrap::mean_of_means, 0.95, 20_000, 1);
        // A 2.5 % quantile of 20,000 draws has a standard error of about 0.019 standard errors of the mean, on both
        // sides of the comparison; the means of 53 integers lie 1/53 apart. Five such errors:
        let tolerance = 5.0 * 0.019 * 2f64.sqrt() * error + 1.0 / 53.0;
        for (found, key) in [(got.percentile, "boot_percentile95"), (got.bca, "boot_bca95")] {
            let expected = list(&expected[key]);
            let apart = (found.0 - expected[0]).abs().max((found.1 - expected[1]).abs());
            assert!(apart < tolerance, "{key}: {found:?} is not {expected:?}");
        }
    }
}

#[test]
fn best_of_n() {
    let best = &fixture("claimcheck.json")["best_of_n"];
    let sizes: Vec<usize> = list(&best["N"]).iter().map(|n| *n as usize).collect();
    let sweep = |name: &str| list(&best["sweep"][name]);
    for name in ["A", "B", "C", "D"] {
        for (n, expected) in sizes.iter().zip(best["expected"][name].as_array().unwrap()) {
            // More than there are: all of them.
            let scores = sweep(name);
            close(name, best_of::expected(&scores, (*n).min(scores.len())), expected, TIGHT);
        }
    }
    let others = ["A", "B", "C"].map(sweep);
    for (i, n) in sizes.iter().enumerate() {
        let of = |scores: &Vec<f64>| best_of::expected(scores, (*n).min(scores.len()));
        let method = of(&sweep("D"));
        close("union", method - best_of::union(&others, *n), &best["diff_union"][i], TIGHT);
        let least = others.iter().map(|scores| method - of(scores)).fold(f64::INFINITY, f64::min);
        close("pairwise", least, &best["diff_pairwise_min"][i], TIGHT);
    }
}

#[test]
fn aggregates() {
    let reference = &fixture("claimcheck.json")["rliable"];
    let runs = |key: &str| reference[key].as_array().unwrap().iter().map(list).collect::<Vec<_>>();
    let (x, y) = (runs("x"), runs("y"));
    let tasks = |runs: &[Vec<f64>]| (0..3).map(|j| runs.iter().map(|run| run[j]).collect()).collect::<Vec<Vec<f64>>>();
    close("IQM of x", aggregate::interquartile_mean(&x.concat()), &reference["iqm_x"], TIGHT);
    close("IQM of y", aggregate::interquartile_mean(&y.concat()), &reference["iqm_y"], TIGHT);
    close("mean", sampler::claims::stats::mean(&x.concat()), &reference["mean_x"], TIGHT);
    close("median", aggregate::median_of_means(&tasks(&x)), &reference["median_of_task_means_x"], TIGHT);
    close("gap", aggregate::optimality_gap(&x.concat(), 1.0), &reference["optimality_gap_x"], TIGHT);
    let improvement = aggregate::mean_probability_of_improvement(&tasks(&x), &tasks(&y));
    close("improvement", improvement, &reference["prob_improvement"], TIGHT);
}

#[test]
fn distributions_and_tests_of_scipy() {
    let reference = fixture("scipy.json");
    for case in reference["noncentral_t"].as_array().unwrap() {
        let v = list(case);
        close("noncentral t", distributions::noncentral_t_cdf(v[0], v[1], v[2]), &case[3], TIGHT);
    }
    for case in reference["t_quantile"].as_array().unwrap() {
        let v = list(case);
        close("t quantile", distributions::t_quantile(v[0], v[1]), &case[2], TIGHT);
    }
    for case in reference["pairs"].as_array().unwrap() {
        let (x, y) = (list(&case["x"]), list(&case["y"]));
        let rounded = |v: f64| (v * 100.0).round() / 100.0;
        let differences: Vec<f64> = x.iter().zip(&y).map(|(x, y)| rounded(x - y)).collect();
        let paired = Paired::of(&differences);
        close("t", paired.t(0.1), &case["t"], TIGHT);
        close("p", paired.p_greater(0.1), &case["p"], TIGHT);
        close("low", paired.interval(0.9).0, &case["ci90"][0], TIGHT);
        close("high", paired.interval(0.9).1, &case["ci90"][1], TIGHT);
        close("TOST", paired.equivalence(0.5).p, &case["tost_p"], TIGHT);
        let shifted: Vec<f64> = differences.iter().map(|d| rounded(d - 0.1)).collect();
        let signed = ranks::signed_ranks(&shifted, 0.0);
        close("W", signed.w, &case["wilcoxon_w"], TIGHT);
        close("Wilcoxon p", signed.p_continuity, &case["wilcoxon_p"], TIGHT);
        close("U", ranks::probability_of_improvement(&x, &y) * (x.len() * y.len()) as f64, &case["u"], TIGHT);
        close("Mann-Whitney p", ranks::mann_whitney(&x, &y), &case["mann_whitney_p"], TIGHT);
        let got = bootstrap::bootstrap(&[differences], &bootstrap::mean_of_means, 0.95, 20_000, 3);
        let (expected, tolerance) = (list(&case["bca95"]), 5.0 * 0.019 * 2f64.sqrt() * paired.error + 0.005);
        assert!((got.bca.0 - expected[0]).abs() < tolerance && (got.bca.1 - expected[1]).abs() < tolerance);
    }
}

#[test]
fn slopes_and_sign_flips_of_scipy() {
    let reference = fixture("scipy.json");
    for case in reference["slopes"].as_array().unwrap() {
        let found = rate::slope(&list(&case["x"]), &list(&case["y"]), 0.95, 100, 0).unwrap();
        close("slope", found.value, &case["slope"], TIGHT);
        close("intercept", found.intercept, &case["intercept"], TIGHT);
        close("low", found.interval.0, &case["interval"][0], TIGHT);
        close("high", found.interval.1, &case["interval"][1], TIGHT);
    }
    for case in reference["sign_flips"].as_array().unwrap() {
        let found = permutation::sign_flips(&list(&case["differences"]), 0.0, 0, 0);
        close("sign flips", found, &case["p"], TIGHT);
    }
}
