//! What a binary says on stderr as it fails: one line, whatever went wrong.

use std::process::Command;

use anyhow::anyhow;
use sampler::bad_input;
use sampler::config::cli::{self, Interrupted};

/// The test starts itself as another process, which fails in the way that this variable names.
const WAY: &str = "SAMPLER_TEST_FAILS_BY";

fn fail(way: &str) -> anyhow::Result<()> {
    match way {
        "input" => Err(bad_input!("a.yaml:3: wrong\nvery wrong").context("loading")),
        "running" => Err(anyhow!("the disk burns").context("saving")),
        "interrupted" => Err(anyhow::Error::new(Interrupted("saved at step 5".into()))),
        "panic" => panic!("a bug\nof two lines"),
        "torch" => {
            let x = tch::Tensor::from_slice(&[1.0, 2.0, 3.0]);
            let _ = x.matmul(&tch::Tensor::from_slice(&[1.0]));
            Ok(())
        }
        _ => Ok(()),
    }
}

#[test]
fn every_failure_is_one_line() {
    if let Ok(way) = std::env::var(WAY) {
        let status = cli::run(|| fail(&way));
        eprintln!("{status:?}");
        return;
    }

    for (way, line, code) in [
        ("input", "error: loading: a.yaml:3: wrong very wrong", 2),
        ("running", "error: saving: the disk burns", 1),
        ("interrupted", "interrupted: saved at step 5", 130),
        ("panic", "error: internal: a bug of two lines (tests/exit_lines.rs:", 1),
        ("torch", "error: internal: called `Result::unwrap()` on an `Err` value: Torch(\"", 1),
        ("done", "", 0),
    ] {
        let program = std::env::current_exe().unwrap();
        let output =
            Command::new(program).args(["--exact", "every_failure_is_one_line", "--nocapture"]).env(WAY, way).output();
        let said = String::from_utf8(output.unwrap().stderr).unwrap();
        let (first, status) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
        assert!(first.starts_with(line) && first.lines().count() <= 1, "{way}: {said}");
        assert!(!said.contains("frame #"), "{said}");
        assert_eq!(status, format!("{:?}", std::process::ExitCode::from(code)), "{way}");
    }
}
