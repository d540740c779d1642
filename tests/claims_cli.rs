//! `claims` as a person types it: verdicts from records, runs that go on, claims that changed, claims that ship.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assert_cmd::cargo::CommandCargoExt;
use sampler::claims::quotes::spaced;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn claims(arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("claims").unwrap();
    command.current_dir(ROOT).env("OMP_NUM_THREADS", "1").args(arguments).output().unwrap()
}

#[track_caller]
fn run(arguments: &[&str], status: i32) -> String {
    let output = claims(arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    said
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn twelve_summaries_become_the_published_table() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(&folder, "report");
    run(&["verdict", "tests/fixtures/claims/claimcheck.json", "--out", &out], 0);
    let (report, reference) = (
        json(&Path::new(&out).join("report.json")),
        json(&Path::new(ROOT).join("tests/fixtures/claims/claimcheck.json")),
    );
    assert_eq!(report["verdict"], "inconclusive");
    assert_eq!(report["schema_version"], 1);
    let tests = report["tests"].as_array().unwrap();
    for expected in reference["tests"].as_array().unwrap() {
        let name = format!(
            "{} | temperature {} | {}",
            expected["metric"].as_str().unwrap(),
            expected["temperature"],
            expected["comparison"].as_str().unwrap()
        );
        let name = name.replace(".0 |", " |");
        let found = tests.iter().find(|t| t["name"] == name).unwrap_or_else(|| panic!("{name}"));
        let pairs = [
            ("statistic", &expected["t"]),
            ("p", &expected["p_one_sided"]),
            ("p_adjusted", &expected["p_holm"]),
            ("p_bonferroni", &expected["p_bonferroni"]),
            ("p_benjamini_hochberg", &expected["p_bh"]),
            ("effect", &expected["mean_diff"]),
            ("ci_low", &expected["ci95_two_sided"][0]),
            ("ci_high", &expected["ci95_two_sided"][1]),
            ("n", &expected["n"]),
        ];
        for (key, expected) in pairs {
            let (found, expected) = (found[key].as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((found - expected).abs() < 1e-9, "{name}: {key} {found} {expected}");
        }
    }
    let union = tests.iter().find(|t| t["kind"] == "intersection_union").unwrap();
    let expected = reference["summary"]["iut_p_all12"].as_f64().unwrap();
    assert!((union["p"].as_f64().unwrap() - expected).abs() < 1e-9);
}

#[test]
fn a_verdict_is_the_same_however_often_it_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let records = path(&folder, "records.csv");
    let rows: String = (0..12)
        .map(|i| format!("A,s,{i},{}\nB,s,{i},{}\n", 1.0 + f64::from(i % 4) / 10.0, f64::from(i % 3) / 10.0))
        .collect();
    std::fs::write(&records, format!("method,setting,seed,score\n{rows}")).unwrap();
    let [a, b] = ["a", "b"].map(|name| path(&folder, name));
    run(&["verdict", &records, "--out", &a, "--require", "supported"], 0);
    run(&["verdict", &records, "--out", &b], 0);
    for file in ["report.json", "report.md", "claim.yaml", "plots/effects.png"] {
        let [a, b] = [&a, &b].map(|folder| std::fs::read(Path::new(folder).join(file)).unwrap());
        assert!(a == b, "{file} differs");
    }
    let report = json(&Path::new(&a).join("report.json"));
    assert_eq!(report["origin"]["declared"], "nowhere");
    assert!(report["tests"][0]["bootstrap_bca"][0].as_f64().unwrap() > 0.0);
    // The other direction, asked of the same records.
    let said = run(&["verdict", &records, "--out", &b, "--method", "B", "--require", "supported"], 1);
    assert!(said.contains("refuted"), "{said}");
    let said = run(&["verdict", &records, "--out", &b, "--method", "C"], 2);
    assert!(said.contains("--method: no record is of 'C' (there are: A, B)"), "{said}");
}

const SMALL: &str = "
id: small
text: local linearisation is nearer than Euler
source: a test
assertion: {type: superiority, quantifier: all, test: exact}
metrics: [{name: w2, direction: lower}]
method: {name: second, overrides: [integrator.type=local_linearization]}
baselines: [{name: first, overrides: [integrator.type=euler]}]
settings: [{name: gauss, config: configs/score/exact_gaussian.yaml}]
sweep: {key: num_steps, values: [10, 20], inverse: true}
unit: exact
budget: {measure: score_calls}
evaluation_seeds: [0]
run: {binary: score, verb: exact, arguments: [--threads, '1', --device, cpu]}
";

fn only_folder(parent: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn runs_are_shared_out_made_once_and_belong_to_their_claim() {
    let folder = tempfile::tempdir().unwrap();
    let (file, runs) = (path(&folder, "small.yaml"), path(&folder, "runs"));
    std::fs::write(&file, SMALL).unwrap();
    let said = run(&["check", &file, "--runs", &runs, "--array", "1/2"], 0);
    assert!(said.contains("2 evaluation runs are not there yet"), "{said}");
    let said = run(&["check", &file, "--runs", &runs, "--require", "supported"], 0);
    assert!(said.contains("evaluation 1/4") && !said.contains("evaluation 2/4"), "{said}");
    let said = run(&["check", &file, "--runs", &runs], 0);
    assert!(said.contains("all 4 runs are there already"), "{said}");

    let case = only_folder(&Path::new(&runs).join("small"));
    let report = json(&case.join("report.json"));
    assert_eq!((&report["verdict"], &report["origin"]["declared"]), (&"supported".into(), &"before_runs".into()));
    let hash = report["claim_sha256"].as_str().unwrap();
    assert_eq!(sampler::claims::claim::digest(&std::fs::read(case.join("claim.yaml")).unwrap()), hash);
    assert!(report["runs"]["binary_sha256"][0].as_str().unwrap().len() == 64);

    // Recomputed from the records alone; refused under another claim.
    let records = case.join("records.jsonl").display().to_string();
    let again = path(&folder, "again");
    run(&["verdict", &records, "--out", &again], 0);
    assert_eq!(json(&Path::new(&again).join("report.json")), report);
    let changed = path(&folder, "changed.yaml");
    std::fs::write(&changed, SMALL.replace("[10, 20]", "[10]")).unwrap();
    let said = run(&["verdict", &records, "--claim", &changed, "--out", &again], 2);
    assert!(said.contains("a changed claim is a new claim"), "{said}");
    let said = run(&["check", &changed, "--runs", &runs], 0);
    assert!(said.contains("all 2 runs are there already"), "{said}");
    assert_eq!(std::fs::read_dir(Path::new(&runs).join("small")).unwrap().count(), 2);
}

#[test]
fn a_failed_run_is_a_result_and_a_wrong_claim_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (file, runs) = (path(&folder, "small.yaml"), path(&folder, "runs"));
    // One thousandth of a second is not enough for anything.
    std::fs::write(&file, SMALL.replace("run: {", "run: {time_limit_s: 0.001, ")).unwrap();
    let said = run(&["check", &file, "--runs", &runs], 0);
    assert!(said.contains("stopped at the time limit") && said.contains("inconclusive"), "{said}");
    let report = json(&only_folder(&Path::new(&runs).join("small")).join("report.json"));
    assert_eq!(report["failed_runs"].as_array().unwrap().len(), 4);

    for (from, to, part) in [
        ("integrator.type=euler", "integrator.type=eular", "did you mean 'euler'"),
        ("name: w2", "name: w3", "has no 'w3'"),
        ("binary: score", "binary: scores", "no 'scores'"),
        ("budget: {measure: score_calls}", "budget: {measure: none}", "budget.reason"),
    ] {
        std::fs::write(&file, SMALL.replace(from, to)).unwrap();
        let said = run(&["check", &file, "--runs", &runs], 2);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn ratings_are_imported_and_judged() {
    let folder = tempfile::tempdir().unwrap();
    let [table, records, out] = ["ratings.csv", "records.jsonl", "report"].map(|name| path(&folder, name));
    let rows: String = (0..9).map(|i| format!("r{i},{},{},{}\n", u8::from(i != 4), 5 + i % 3, 3 + i % 2)).collect();
    std::fs::write(&table, format!("rater,awake,t1|new|quality,t1|old|quality\n{rows}")).unwrap();
    let said = run(&["import", &table, "--attention", "awake", "--out", &records], 0);
    assert!(said.contains("16 records; 1 raters failed"), "{said}");
    let said = run(&["verdict", &records, "--method", "new", "--out", &out, "--require", "supported"], 0);
    assert!(said.contains("1 of 1 tests support it"), "{said}");
}

const PRINTED: &str = "
id: printed
text: a step with one product costs more than one without, and two more than one
source: a test
assertion:
  type: figures
  figures:
    - {name: one, setting: bench, metric: ratio, row: {integrator: local_linearization_series1}, expected: 1, tolerance: 0, relation: at_least}
    - {name: Euler over one, setting: bench, metric: ms_per_step, row: {integrator: euler}, reference: 1e9, expected: 1, tolerance: 0, relation: at_least}
    - {name: CPU, setting: bench, metric: cpu_s, expected: 0.001, tolerance: 0, relation: at_least}
    - {name: molecules, setting: molecules, metric: molecules, expected: 16, tolerance: 0}
metrics: [{name: ratio}]
method: {name: this repository}
settings:
  - {name: bench, binary: score, command: [bench, --json, --particles, '2', --repeats, '1', --threads, '1'], seeds: [0]}
  - {name: molecules, binary: molecule, command: [check, --json], seeds: [0]}
budget: {measure: none, reason: nothing is compared}
evaluation_seeds: [0]
run: {binary: score, verb: exact}
";

#[test]
fn what_a_command_prints_is_a_run_and_another_build_makes_it_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (file, runs) = (path(&folder, "printed.yaml"), path(&folder, "runs"));
    std::fs::write(&file, PRINTED).unwrap();
    let said = run(&["check", &file, "--runs", &runs, "--this-binary", "--require", "supported"], 0);
    assert!(said.contains("4 of 4 figures hold"), "{said}");
    let said = run(&["check", &file, "--runs", &runs, "--this-binary"], 0);
    assert!(said.contains("all 2 runs are there already"), "{said}");
    // Without the option runs are known by what they are alone, so these are others.
    let said = run(&["check", &file, "--runs", &runs], 0);
    assert!(!said.contains("there already"), "{said}");
    let report = json(&only_folder(&Path::new(&runs).join("printed")).join("report.json"));
    assert_eq!(report["tests"][0]["metric"], "ratio [integrator=local_linearization_series1]");
    assert!(report["runs"]["binary_sha256"].as_array().unwrap().len() == 2);

    for (from, to, part) in [
        ("{integrator: euler}", "{threads: 1}", "7 of 7 rows fit 'ms_per_step [threads=1]'"),
        ("metric: molecules,", "metric: atoms,", "has no 'atoms'"),
        ("[check, --json]", "[check]", "printed no JSON"),
        ("[check, --json]", "[check, --jsn]", "--jsn"),
        ("reference: 1e9", "reference: -1", "assertion.figures.reference"),
    ] {
        std::fs::write(&file, PRINTED.replace(from, to)).unwrap();
        let said = run(&["check", &file, "--runs", &runs], 2);
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// Rows of README's tables that state figures are quoted by a claim, whose lint finds every quote in README.
#[test]
fn every_row_of_figures_in_readme_is_claimed() {
    let claims = ["readme", "readme_long"].map(|id| {
        let file = Path::new(ROOT).join(format!("configs/claims/{id}.yaml"));
        sampler::claims::open::load_claim(&file).unwrap()
    });
    let figures = claims.iter().flat_map(|claim| match &claim.assertion {
        sampler::claims::claim::Assertion::Figures { figures } => figures.as_slice(),
        _ => panic!("{} states no figures", claim.id),
    });
    let quotes: Vec<String> = figures.map(|figure| spaced(&figure.quote)).collect();
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let number = |cell: &str| cell.trim().trim_start_matches('-').starts_with(char::is_numeric);
    let states = |row: &&str| row.starts_with('|') && row.split('|').skip(2).any(number);
    let rows: Vec<String> = readme.lines().filter(states).map(spaced).collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        assert!(quotes.contains(&row), "no claim in configs/claims/ holds this row of README: {row}");
    }
}

#[test]
fn claims_that_ship_are_sound_and_their_reports_belong_to_them() {
    let mut seen = 0;
    for entry in std::fs::read_dir(Path::new(ROOT).join("configs/claims")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let shown = file.display().to_string();
        run(&["lint", &shown], 0);
        let claim = sampler::claims::open::load_claim(&file).unwrap();
        assert_eq!(file.file_stem().unwrap().to_str().unwrap(), claim.id);
        let report = Path::new(ROOT).join("docs/claims").join(&claim.id);
        if report.is_dir() {
            let found = json(&report.join("report.json"));
            assert_eq!(found["claim_sha256"], claim.hash().unwrap(), "{shown}: its report is of another claim");
            seen += 1;
        }
    }
    assert!(seen >= 1, "no claim has a report");
}
