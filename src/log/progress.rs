//! What the terminal shows of a run, and its copy in `log.txt`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::table::figure;

/// The figures beside the bar are renewed this often.
const REFRESH: Duration = Duration::from_millis(100);

/// Lines and a progress bar for a person; the lines go to a log file as well.
///
/// News about a run goes to stderr, results that were asked for go to stdout, where another program may read them.
/// On anything but a terminal no bar is drawn, so a cluster's log holds one plain line an evaluation.
pub struct Terminal {
    log: Option<File>,
    silent: bool,
    run: Option<Run>,
}

/// A stretch of training under way.
struct Run {
    bar: ProgressBar,
    num_steps: u64,
    /// Step and time of the last evaluation, for the speed since then.
    mark: (u64, Instant),
    shown: Option<Instant>,
}

impl Terminal {
    /// Screen only.
    pub fn new() -> Self {
        Self { log: None, silent: false, run: None }
    }

    /// Screen and a log file, which is appended to.
    pub fn with_log(path: &Path) -> Result<Self> {
        let log = OpenOptions::new().append(true).create(true).open(path);
        let log = log.with_context(|| format!("{}: cannot open to append", path.display()))?;
        Ok(Self { log: Some(log), ..Self::new() })
    }

    /// Keeps the screen clean; a log file is still written.
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// News: one line or several, to stderr and the log.
    pub fn line(&mut self, text: &str) {
        self.copy(text);
        self.show(|| writeln!(io::stderr(), "{}", text.trim_end()));
    }

    /// A result that was asked for, such as a table: to stdout and the log.
    pub fn result(&mut self, text: &str) {
        self.copy(text);
        self.show(|| writeln!(io::stdout(), "{}", text.trim_end()));
    }

    /// Training begins (or continues) after `first_step` of `num_steps` steps.
    pub fn start(&mut self, first_step: u64, num_steps: u64) {
        let target = if self.silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(num_steps), target);
        let template = "{bar:24.cyan} {pos}/{len} {wide_msg} {speed}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let speed = |state: &ProgressState, w: &mut dyn fmt::Write| {
                let _ = write!(w, "{}/s", figure(state.per_sec(), 3));
            };
            bar.set_style(style.progress_chars("━╸─").with_key("speed", speed));
        }
        bar.set_position(first_step);
        bar.reset_eta(); // steps done in an earlier session say nothing about the speed of this one
        self.run = Some(Run { bar, num_steps, mark: (first_step, Instant::now()), shown: None });
    }

    /// `step` steps are done; `values` are shown beside the bar. Cheap enough for every step.
    pub fn step(&mut self, step: u64, values: &[(&str, f64)]) {
        let Some(run) = &mut self.run else { return };
        run.bar.set_position(step);
        if !run.bar.is_hidden() && run.shown.is_none_or(|shown| shown.elapsed() > REFRESH) {
            run.bar.set_message(named_figures(values));
            run.shown = Some(Instant::now());
        }
    }

    /// One line on an evaluation: step, figures, speed since the last such line and the time left.
    pub fn evaluation(&mut self, step: u64, values: &[(&str, f64)]) {
        let now = Instant::now();
        let mut line = match &self.run {
            Some(run) => format!("step {step:>width$}/{}", run.num_steps, width = run.num_steps.to_string().len()),
            None => format!("step {step}"),
        };
        if !values.is_empty() {
            line += &format!("  {}", named_figures(values));
        }

        if let Some(run) = &mut self.run {
            let (since, then) = std::mem::replace(&mut run.mark, (step, now));
            let speed = step.saturating_sub(since) as f64 / (now - then).as_secs_f64();
            if speed.is_finite() && speed > 0.0 {
                let left = run.num_steps.saturating_sub(step) as f64 / speed;
                line += &format!("  ({} steps/s, {} left)", figure(speed, 3), duration(left));
            }
        }
        self.line(&line);
    }

    /// Training is over: the bar goes.
    pub fn finish(&mut self) {
        self.run = None;
    }

    fn copy(&mut self, text: &str) {
        let Some(log) = &mut self.log else { return };
        if let Err(error) = writeln!(log, "{}", text.trim_end()) {
            self.log = None;
            self.line(&format!("log.txt: {error}; the log ends here"));
        }
    }

    /// Writes above the bar. A closed pipe is no reason to stop a run.
    fn show(&self, write: impl FnOnce() -> io::Result<()>) {
        if self.silent {
            return;
        }
        let _ = match &self.run {
            Some(run) => run.bar.suspend(write),
            None => write(),
        };
    }
}

/// Also when a run ends in an error: the message must not stand behind half a bar.
impl Drop for Run {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

/// `loss 0.1234  eval/elbo -1.5`, the prefix `train/` left out as everyone knows it.
fn named_figures(values: &[(&str, f64)]) -> String {
    let figures =
        values.iter().map(|(tag, v)| format!("{} {}", tag.strip_prefix("train/").unwrap_or(tag), figure(*v, 4)));
    figures.collect::<Vec<_>>().join("  ")
}

/// Seconds in a person's units: `42 s`, `3 min 20 s`, `5 h 07 min`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_shown_is_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        std::fs::write(&path, "earlier session\n").unwrap();

        let mut terminal = Terminal::with_log(&path).unwrap().silent();
        terminal.line("target funnel, 10 dimensions");
        terminal.start(100, 1000);
        terminal.step(101, &[("train/loss", 2.0)]);
        terminal.evaluation(200, &[("train/loss", 0.123456), ("eval/elbo", f64::NAN)]);
        terminal.finish();
        terminal.result("ELBO  ESS\n-1.0  0.9\n");

        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["earlier session", "target funnel, 10 dimensions"]);
        assert!(lines[2].starts_with("step  200/1000  loss 0.1235  eval/elbo NaN  ("), "{}", lines[2]);
        assert!(lines[2].ends_with(" s left)"), "{}", lines[2]);
        assert_eq!(lines[3..], ["ELBO  ESS", "-1.0  0.9"]);
    }

    #[test]
    fn durations_read_naturally() {
        let cases = [(0.4, "0 s"), (59.6, "1 min 00 s"), (200.0, "3 min 20 s"), (18420.0, "5 h 07 min")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
