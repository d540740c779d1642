//! Whether the experiment was fair: equal budgets, the same search, disjoint seeds, nothing missing.

use serde::Serialize;

use super::claim::{Assertion, Claim};
use super::compare::Cell;
use super::record::{Records, Split};
use super::stats::mean;
use super::values::chosen_config;

/// What a method spent in a setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spent {
    pub method: String,
    pub setting: String,
    pub configs: usize,
    pub runs: usize,
    pub failed: usize,
    /// Which cost `mean` and `total` are of.
    pub measure: String,
    /// Over the runs that ended well; null where a run does not say.
    pub mean: Option<f64>,
    pub total: Option<f64>,
}

/// How the budgets compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    Equal,
    /// The method had more somewhere, and nowhere less.
    MethodMore,
    /// The method had less somewhere.
    MethodLess,
    /// Records do not say.
    Unknown,
    /// The claim says why there is nothing to measure.
    NotMeasured,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fairness {
    pub balance: Balance,
    pub spent: Vec<Spent>,
    /// Reasons why the claim cannot be called supported on these records.
    pub obstacles: Vec<String>,
    /// Things to know that decide nothing.
    pub remarks: Vec<String>,
}

/// Looks at everything but the outcome.
pub fn fairness(claim: &Claim, records: &Records, cells: &[Cell]) -> Fairness {
    let mut fair =
        Fairness { balance: Balance::Equal, spent: spent(claim, records), obstacles: vec![], remarks: vec![] };
    if !claim.baselines.is_empty() {
        budgets(claim, &mut fair);
    }
    seeds(claim, records, &mut fair);
    gaps(claim, records, cells, &mut fair);
    edges(claim, records, &mut fair);
    fair.remarks.extend(records.notes.iter().cloned());
    let known = |name: &String| claim.settings.iter().any(|s| s.name == *name);
    let strange: Vec<String> = records.settings().into_iter().filter(|name| !known(name)).collect();
    if !strange.is_empty() {
        fair.remarks.push(format!("settings that the claim does not name were left out: {}", strange.join(", ")));
    }
    fair
}

fn spent(claim: &Claim, records: &Records) -> Vec<Spent> {
    let mut all = Vec::new();
    for setting in &claim.settings {
        for method in claim.methods() {
            let of: Vec<_> =
                records.observations.iter().filter(|r| r.method == method.name && r.setting == setting.name).collect();
            let mut configs: Vec<&str> = of.iter().map(|r| r.config.as_str()).collect();
            configs.sort_unstable();
            configs.dedup();
            let done = of.iter().filter(|r| r.done());
            let costs: Option<Vec<f64>> = done.map(|r| r.budget.get(&claim.budget.measure).copied()).collect();
            let costs = costs.filter(|costs| !costs.is_empty());
            all.push(Spent {
                method: method.name.clone(),
                setting: setting.name.clone(),
                configs: configs.len(),
                runs: of.len(),
                failed: of.iter().filter(|r| !r.done()).count(),
                measure: claim.budget.measure.clone(),
                mean: costs.as_deref().map(mean),
                total: costs.map(|costs| costs.iter().sum()),
            });
        }
    }
    all
}

/// Configs and runs must be equal in number, and the measured cost of a run within the tolerance.
fn budgets(claim: &Claim, fair: &mut Fairness) {
    let (mut more, mut less, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for setting in &claim.settings {
        let of = |name: &str| fair.spent.iter().find(|s| s.setting == setting.name && s.method == name);
        let Some(method) = of(&claim.method.name) else { continue };
        for baseline in claim.baselines.iter().filter_map(|b| of(&b.name)) {
            if method.runs == 0 || baseline.runs == 0 {
                continue; // Named among the missing cells.
            }
            let pair = format!("{} against {} in {}", method.method, baseline.method, setting.name);
            let mut compare = |what: &str, a: f64, b: f64, tolerance: f64| {
                if (a - b).abs() > tolerance * a.max(b) {
                    let line = format!("{pair}: {what} {a} and {b}");
                    if a > b { more.push(line) } else { less.push(line) }
                }
            };
            compare("configs", method.configs as f64, baseline.configs as f64, 0.0);
            compare("runs", method.runs as f64, baseline.runs as f64, 0.0);
            match (method.mean, baseline.mean) {
                _ if claim.budget.measure == "none" => {}
                (Some(a), Some(b)) => compare(&format!("{} a run", claim.budget.measure), a, b, claim.budget.tolerance),
                _ => unknown.push(pair),
            }
        }
    }
    declared(claim, &mut more, &mut less);
    fair.balance = match (less.is_empty(), more.is_empty(), unknown.is_empty()) {
        (false, _, _) => Balance::MethodLess,
        (_, false, _) => Balance::MethodMore,
        (_, _, false) => Balance::Unknown,
        _ if claim.budget.measure == "none" => Balance::NotMeasured,
        _ => Balance::Equal,
    };
    fair.obstacles.extend(more.into_iter().chain(less).map(|line| format!("the budgets are unequal: {line}")));
    if !unknown.is_empty() {
        let measure = &claim.budget.measure;
        fair.obstacles.push(format!("the records do not give {measure}, so the budgets cannot be compared"));
    }
    if fair.balance == Balance::NotMeasured {
        let reason = if claim.budget.reason.is_empty() { "no reason is given" } else { &claim.budget.reason };
        fair.remarks.push(format!("the claim compares no cost of a run: {reason}"));
    }
}

/// Tuning spaces as the claim declares them.
fn declared(claim: &Claim, more: &mut Vec<String>, less: &mut Vec<String>) {
    let size = claim.method.configs().len();
    for baseline in &claim.baselines {
        let other = baseline.configs().len();
        let line =
            format!("the claim declares {size} configs for {}, {other} for {}", claim.method.name, baseline.name);
        match size.cmp(&other) {
            std::cmp::Ordering::Greater => more.push(line),
            std::cmp::Ordering::Less => less.push(line),
            std::cmp::Ordering::Equal => {}
        }
    }
}

/// A config must not be chosen on the units that it is judged on.
fn seeds(claim: &Claim, records: &Records, fair: &mut Fairness) {
    let units = |split: Split| {
        let of = records.observations.iter().filter(move |r| r.split == split);
        of.map(|r| r.unit.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    let shared: Vec<String> = units(Split::Tuning).intersection(&units(Split::Evaluation)).cloned().collect();
    let declared: Vec<String> =
        claim.tuning_seeds.iter().filter(|s| claim.evaluation_seeds.contains(s)).map(u64::to_string).collect();
    if !shared.is_empty() || !declared.is_empty() {
        let named = if shared.is_empty() { declared } else { shared };
        let named = named.join(", ");
        fair.obstacles.push(format!("tuning and evaluation share the {} {named}: the winner's curse", claim.unit));
    }
}

/// A best config at the end of a grid asks for a wider grid.
fn edges(claim: &Claim, records: &Records, fair: &mut Fairness) {
    let Some(metric) = claim.metrics.first() else { return };
    let mut found = Vec::new();
    for setting in &claim.settings {
        for method in claim.methods() {
            let chosen = chosen_config(records, metric, &method.name, &setting.name, None).unwrap_or_default();
            for (key, values) in method.tuning.iter().filter(|(_, values)| values.len() > 2) {
                let ends = [values.first(), values.last()].into_iter().flatten().filter(|value| value.is_number());
                let mut ends = ends.map(|value| format!("{key}={value}"));
                if let Some(end) = ends.find(|end| chosen.split(' ').any(|part| part == end)) {
                    found.push(format!("{} in {} ({end})", method.name, setting.name));
                }
            }
        }
    }
    if !found.is_empty() {
        fair.remarks.push(format!(
            "the best config lies at the end of its grid, so a wider one may do better: {}",
            found.join(", ")
        ));
    }
}

/// Cells without observations, units that the plan has, and runs that failed.
fn gaps(claim: &Claim, records: &Records, cells: &[Cell], fair: &mut Fairness) {
    let method = &claim.method.name;
    for cell in cells {
        let name = cell.name(method);
        if !cell.missing.is_empty() {
            fair.obstacles.push(format!("{name}: missing {} {}", claim.unit, cell.missing.join(", ")));
        } else if cell.paired.n == 0 {
            fair.obstacles.push(format!("{name}: no observations"));
        }
        let [own, others] = &cell.failed;
        if own.is_empty() && others.is_empty() {
            continue;
        }
        let counted =
            if cell.failures_count { "counted at the value the claim gives them" } else { "left out of the mean" };
        let listed = |units: &[String]| if units.is_empty() { "none".to_string() } else { units.join(", ") };
        let line = format!(
            "{name}: failed runs of the method: {}; of the baseline: {}; {counted}",
            listed(own),
            listed(others)
        );
        let only_own = own.iter().any(|unit| !others.contains(unit));
        if only_own && !cell.failures_count { fair.obstacles.push(line) } else { fair.remarks.push(line) }
    }
    let superiority = matches!(claim.assertion, Assertion::Superiority { .. } | Assertion::Equivalence { .. });
    let failed = records.observations.iter().filter(|r| !r.done()).count();
    if failed > 0 && superiority {
        fair.remarks.push(format!("{failed} of {} runs failed; each is listed", records.observations.len()));
    }
}
