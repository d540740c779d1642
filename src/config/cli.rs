//! What every experiment binary shares on the command line: arguments, exit status, one-line errors.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, Parser};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

use super::fault::{self, Fault, What};
use super::tree::TAG;
use super::wording;
use crate::bad_input;
use crate::torch::error::is_bad_input;

/// Arguments that every verb working on a config takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The config: a YAML file such as configs/bridge/funnel_cmcd.yaml
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,

    /// Keys to change, by dotted path; values are YAML: train.steps=100 loss.type=lv 'target.mean=\[0, 1\]'
    #[arg(
        value_name = "KEY=VALUE",
        help = "Keys to change, by dotted path; values are YAML: train.steps=100 loss.type=lv 'target.mean=[0, 1]'"
    )]
    pub overrides: Vec<String>,

    /// Write to this folder instead of the next free one under `runs/`
    #[arg(
        long,
        value_name = "DIR",
        help = "Write to this folder instead of the next under runs/<task>/<config name>/"
    )]
    pub out: Option<PathBuf>,

    /// Where to compute: auto (the first GPU if there is one), cpu, cuda, or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,

    /// Seed of the run, in place of the config's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Go on from the newest complete checkpoint of this run (the newest run of the same config and seed, or --out)
    #[arg(long)]
    pub resume: bool,

    /// Print the fully resolved config and stop
    #[arg(long)]
    pub dry_run: bool,

    /// CPU threads among which a batch is divided [default: OMP_NUM_THREADS, else one a core]
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
}

impl Common {
    /// The overrides, with `--seed N` as `seed=N` at their end.
    pub fn all_overrides(&self) -> Vec<String> {
        let seed = self.seed.map(|seed| format!("seed={seed}"));
        self.overrides.iter().cloned().chain(seed).collect()
    }
}

/// A run that stopped because it was asked to, after saving what it had. Exit status 130.
#[derive(Debug, Clone)]
pub struct Interrupted(pub String);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// Exit statuses beside 0.
const FAILED: u8 = 1;
const WRONG_INPUT: u8 = 2;
const INTERRUPTED: u8 = 130;

/// The value of an option whose names are those of a config key, or of its `type`.
pub fn named<T: DeserializeOwned + Serialize>(option: &str, name: &str) -> Result<T> {
    let plain = Value::from(name);
    let tagged = Value::Mapping([(Value::from(TAG), plain.clone())].into_iter().collect());
    let mut known = Vec::new();
    for value in [plain, tagged] {
        match fault::parse(&value) {
            Ok(typed) => return Ok(typed),
            Err(Fault { what: What::UnknownName { valid }, .. }) if !valid.is_empty() => known = valid,
            Err(_) => {}
        }
    }
    let said = wording::suggestion(name, &known, "valid");
    Err(bad_input!("{option}: cannot be '{}'{said}", wording::shorten(name)))
}

/// Parses the command line. Help and version end the process with status 0, a wrong argument with status 2 and one
/// line.
pub fn parse<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        _ => {
            eprintln!("{}", usage_line(&error));
            std::process::exit(i32::from(WRONG_INPUT))
        }
    })
}

/// clap's complaint and its tip, without the usage below them.
fn usage_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said = text.split("\nUsage:").next().unwrap_or_default();
    let said = said.split("\nFor more information").next().unwrap_or_default();
    format!("{} (--help tells more)", wording::one_line(said).trim_end_matches('.'))
}

/// Runs a binary's body: a failure, or a panic, becomes one line on stderr and an exit status.
pub fn run(body: impl FnOnce() -> Result<()>) -> ExitCode {
    one_line_panics();
    // Nothing that the body left half done is looked at again.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(result) => exit_code(result),
        Err(_) => ExitCode::from(FAILED),
    }
}

/// Says on stderr what went wrong, in one line, and gives the exit status: 0 done, 2 wrong input, 130 interrupted,
/// 1 any other failure.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let interrupted = error.chain().any(|cause| cause.is::<Interrupted>());
            eprintln!("{}: {}", if interrupted { "interrupted" } else { "error" }, error_line(&error));
            ExitCode::from(status(&error))
        }
    }
}

fn status(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<Interrupted>()) {
        INTERRUPTED
    } else if is_bad_input(error) {
        WRONG_INPUT
    } else {
        FAILED
    }
}

/// The chain of causes in one line, without libtorch's back-traces and without saying a thing twice.
pub fn error_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(|cause| message(&cause.to_string())) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// A message up to where a C++ back-trace begins, in one line.
fn message(text: &str) -> String {
    // A panic shows the error's Debug form, in which line ends are the two characters \n.
    let marks = ["Exception raised from", "\nframe #", "\\nframe #", "C++ CapturedTraceback", "stack backtrace:"];
    let end = marks.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    let kept = text[..end].trim_end_matches(|c: char| c.is_whitespace());
    let kept = kept.strip_suffix("\\n").unwrap_or(kept);
    wording::one_line(kept).trim_end_matches(" (").to_string()
}

/// Makes every panic one line: `error: internal: MESSAGE (file:line)`.
pub fn one_line_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let text = message(text.unwrap_or("a panic without a message"));
        match out_of_memory(&text) {
            Some(said) => eprintln!("error: {said}"),
            None => eprintln!("error: internal: {text}{place}"),
        }
    }));
}

/// Memory that was not to be had is no bug: what libtorch asked for, and what asks for less.
fn out_of_memory(text: &str) -> Option<String> {
    let begin = ["you tried to allocate ", "Tried to allocate "].iter().find_map(|mark| text.split_once(mark))?.1;
    let amount = begin.split(". ").next().unwrap_or(begin);
    let remedy = "use smaller batches, sample sets or chunks, or fewer steps";
    Some(format!("out of memory: {amount} were asked for at once; {remedy}"))
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;
    use crate::bad_input;

    #[test]
    fn status_tells_who_is_to_blame() {
        assert_eq!(status(&bad_input!("a.yaml: wrong")), 2);
        assert_eq!(status(&bad_input!("a.yaml: wrong").context("while loading")), 2);
        assert_eq!(status(&anyhow!("the disk burns")), 1);
        assert_eq!(status(&anyhow::Error::new(Interrupted("saved at step 5".into())).context("training")), 130);
    }

    #[test]
    fn names_of_options_are_those_of_keys_and_types() {
        assert_eq!(named::<Center>("--center", "chi3").unwrap(), Center::Chi3);
        assert_eq!(named::<Filter>("--filter", "none").unwrap(), Filter::None {});
        assert_eq!(named::<Filter>("--filter", "drop").unwrap(), Filter::Drop { fraction: 0.0 });
        let center = named::<Center>("--center", "gausian").unwrap_err().to_string();
        assert_eq!(center, "--center: cannot be 'gausian', did you mean 'gaussian'? (valid: gaussian, chi3)");
        let filter = named::<Filter>("--filter", "best, fraction: 0.1").unwrap_err().to_string();
        assert_eq!(filter, "--filter: cannot be 'best, fraction: 0.1' (valid: drop, none)");
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Center {
        Gaussian,
        Chi3,
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
    enum Filter {
        Drop {
            #[serde(default)]
            fraction: f64,
        },
        None {},
    }

    #[test]
    fn errors_are_one_line() {
        let error = anyhow!("second\n  line").context("first");
        assert_eq!(error_line(&error), "first: second line");
        let again = Err::<(), _>(anyhow!("same")).context("it is the same").unwrap_err();
        assert_eq!(error_line(&again), "it is the same");
    }

    #[derive(Debug, Parser)]
    struct Example {
        #[command(flatten)]
        common: Common,
    }

    #[test]
    fn options_and_overrides_may_be_mixed() {
        let words = ["run", "a.yaml", "x=1", "--seed", "3", "y=-2", "--dry-run", "--threads", "2", "z=[1,2]"];
        let common = Example::try_parse_from(words).unwrap().common;
        assert_eq!(common.config, PathBuf::from("a.yaml"));
        assert_eq!(common.all_overrides(), ["x=1", "y=-2", "z=[1,2]", "seed=3"]);
        assert!(common.dry_run && !common.resume);
        assert_eq!((common.device.as_str(), common.threads.map(|n| n.get())), ("auto", Some(2)));
    }

    #[test]
    fn wrong_arguments_get_one_line() {
        for (words, part) in [
            (vec!["run"], "CONFIG"),
            (vec!["run", "a.yaml", "--sed", "3"], "'--seed'"),
            (vec!["run", "a.yaml", "--seed", "many"], "'many'"),
            (vec!["run", "a.yaml", "--threads", "0"], "--threads"),
        ] {
            let line = usage_line(&Example::try_parse_from(words).unwrap_err());
            assert!(line.starts_with("error: ") && line.contains(part) && !line.contains('\n'), "{line}");
            assert!(!line.contains("Usage") && line.len() < 200, "{line}");
        }
    }

    #[test]
    fn memory_that_is_not_there_is_said_in_plain_words() {
        let device = (tch::Kind::Float, tch::Device::Cpu);
        let failed = tch::Tensor::f_zeros([1 << 50], device).unwrap_err();
        let said =
            out_of_memory(&message(&format!("called `Result::unwrap()` on an `Err` value: {failed:?}"))).unwrap();
        assert!(said.starts_with("out of memory: 4503599627370496 bytes were asked for"), "{said}");
        let said = out_of_memory("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has ...").unwrap();
        assert!(said.starts_with("out of memory: 20.00 GiB were"), "{said}");
        assert_eq!(out_of_memory("index 3 is out of range"), None);
    }

    #[test]
    fn back_traces_are_cut() {
        let torch = tch::Tensor::f_zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu)).unwrap();
        let failed = torch.f_matmul(&torch).unwrap_err();
        assert!(failed.to_string().lines().count() > 5, "libtorch no longer adds a back-trace: drop the cut");
        let shown = message(&format!("called `Result::unwrap()` on an `Err` value: {failed:?}"));
        assert!(shown.contains("2x3") && !shown.contains("frame") && !shown.contains("\\n"), "{shown}");
        let line = error_line(&anyhow::Error::new(failed));
        assert!(line.contains("2x3") && !line.contains("frame #") && !line.contains('\n'), "{line}");
    }
}
