//! Sweeps: `seed=0,1,2 loss.type=rkl_ld,lv` means six runs.

use anyhow::Result;

use crate::bad_input;

/// More runs than this in one sweep is a slip.
const MAX_RUNS: usize = 100_000;

/// The cartesian product of the values that overrides list, the last override varying fastest.
///
/// Commas inside brackets, braces or quotes belong to the value: `target.mean=[0,1]` is one run.
pub fn expand(overrides: &[String]) -> Result<Vec<Vec<String>>> {
    let mut runs: Vec<Vec<String>> = vec![Vec::new()];
    for over in overrides {
        let choices = choices(over)?;
        if runs.len() * choices.len() > MAX_RUNS {
            return Err(bad_input!("override '{over}': the sweep grows past {MAX_RUNS} runs; split it"));
        }
        let longer = runs
            .iter()
            .flat_map(|run| choices.iter().map(move |choice| [run.as_slice(), std::slice::from_ref(choice)].concat()));
        runs = longer.collect();
    }
    Ok(runs)
}

/// The one run of a sweep that `task_id` (the value of `SLURM_ARRAY_TASK_ID`) selects, counted from 0.
pub fn pick(runs: &[Vec<String>], task_id: &str) -> Result<Vec<String>> {
    let runs_there = runs.len();
    let picked = task_id.trim().parse::<usize>().ok().and_then(|id| runs.get(id));
    picked.cloned().ok_or_else(|| {
        let last = runs_there.saturating_sub(1);
        bad_input!("SLURM_ARRAY_TASK_ID is '{task_id}', expected 0 to {last}: the sweep has {runs_there} runs (--array=0-{last})")
    })
}

/// [`expand`], or under a SLURM array only the run that this task is to do.
///
/// Without a sweep there is nothing to pick: an array job may as well say `seed=$SLURM_ARRAY_TASK_ID` itself.
pub fn runs(overrides: &[String]) -> Result<Vec<Vec<String>>> {
    let all = expand(overrides)?;
    match std::env::var("SLURM_ARRAY_TASK_ID") {
        Ok(id) if all.len() > 1 => Ok(vec![pick(&all, &id)?]),
        _ => Ok(all),
    }
}

/// The keys that have several values: those in which the runs of the sweep differ.
pub fn swept_keys(overrides: &[String]) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for over in overrides {
        if choices(over)?.len() > 1 {
            keys.extend(over.split_once('=').map(|(key, _)| key.trim().to_string()));
        }
    }
    Ok(keys)
}

/// `key=a,b` as `key=a`, `key=b`.
fn choices(over: &str) -> Result<Vec<String>> {
    let Some((key, values)) = over.split_once('=') else {
        return Err(bad_input!("override '{over}': expected key=value, such as seed=0,1,2"));
    };
    let values = split(values).ok_or_else(|| bad_input!("override '{over}': a bracket or quote is not closed"))?;
    if values.len() > 1 && values.iter().any(|value| value.trim().is_empty()) {
        return Err(bad_input!("override '{over}': a value of the list is empty; write key=a,b"));
    }
    Ok(values.iter().map(|value| format!("{key}={value}")).collect())
}

/// Splits at commas outside brackets and quotes; `None` if those do not balance.
fn split(values: &str) -> Option<Vec<String>> {
    let (mut parts, mut depth, mut quote) = (vec![String::new()], 0i32, None);
    for c in values.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
        match parts.last_mut() {
            Some(last) if !(c == ',' && depth == 0 && quote.is_none()) => last.push(c),
            _ => parts.push(String::new()),
        }
    }
    (depth == 0 && quote.is_none()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| item.to_string()).collect()
    }

    #[test]
    fn product_in_order_last_fastest() {
        let runs = expand(&strings(&["seed=0,1", "train.steps=5", "loss.type=rkl_ld,lv"])).unwrap();
        assert_eq!(runs.len(), 4);
        assert_eq!(runs[0], strings(&["seed=0", "train.steps=5", "loss.type=rkl_ld"]));
        assert_eq!(runs[1], strings(&["seed=0", "train.steps=5", "loss.type=lv"]));
        assert_eq!(runs[3], strings(&["seed=1", "train.steps=5", "loss.type=lv"]));
        assert_eq!(expand(&[]).unwrap(), vec![Vec::<String>::new()]);
        assert_eq!(
            swept_keys(&strings(&["seed=0,1", "a=[1,2]", "loss.type=rkl_ld,lv"])).unwrap(),
            ["seed", "loss.type"]
        );
    }

    #[test]
    fn commas_in_brackets_and_quotes_stay() {
        let runs = expand(&strings(&["a=[0,1],[2,{b: 3, c: 4}]", "n='x,y'"])).unwrap();
        assert_eq!(runs, vec![strings(&["a=[0,1]", "n='x,y'"]), strings(&["a=[2,{b: 3, c: 4}]", "n='x,y'"])]);
    }

    #[test]
    fn slips_are_refused() {
        for slip in ["a=[0,1", "a=0]", "a='x", "a=1,,2", "a=1,", "a"] {
            let error = expand(&strings(&[slip])).unwrap_err();
            assert!(crate::torch::error::is_bad_input(&error), "{slip}");
            assert!(error.to_string().contains(&format!("'{slip}'")), "{error}");
        }
        let thousand = (0..1000).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        let huge = [format!("a={thousand}"), format!("b={thousand}")];
        assert!(expand(&huge).unwrap_err().to_string().contains("split it"));
    }

    #[test]
    fn one_run_of_an_array_job() {
        let runs = expand(&strings(&["seed=0,1,2"])).unwrap();
        assert_eq!(pick(&runs, "2").unwrap(), strings(&["seed=2"]));
        for id in ["3", "-1", "x", ""] {
            let text = pick(&runs, id).unwrap_err().to_string();
            assert!(text.contains("expected 0 to 2") && text.contains("3 runs"), "{text}");
        }
    }
}
