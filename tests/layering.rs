//! Who may import whom, as data. A breach names the file, what it uses and the rule.

use std::path::{Path, PathBuf};

/// Each room under `src/` and the rooms it may import. `bad_input!` and `torch::error` belong to all: they are how
/// every room speaks to a person.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("torch", &[]),
    ("config", &["torch"]),
    ("io", &["torch"]),
    ("log", &["torch", "io"]),
    // Claims see records, never a network.
    ("claims", &["torch", "config", "io", "log"]),
    ("targets", &["torch", "config", "io"]),
    ("processes", &["torch", "config"]),
    ("nets", &["torch", "config"]),
    ("flows", &["torch", "config", "io", "targets", "processes", "nets"]),
    ("losses", &["torch", "config", "targets", "processes", "nets", "flows"]),
    ("samplers", &["torch", "config", "targets", "processes", "nets", "flows", "losses"]),
    ("metrics", &["torch", "config", "targets"]),
    (
        "train",
        &["torch", "config", "io", "log", "targets", "processes", "nets", "flows", "losses", "samplers", "metrics"],
    ),
];

/// Words that one room alone may use, in `src/` and in `experiments/`.
const ONLY: &[(&str, &str)] = &[
    ("run_backward", "torch"),
    ("manual_seed", "torch"),
    ("dlopen", "torch"),
    ("serde_yaml", "config"),
    ("tensorboard_rs", "log"),
    ("tensorboard_proto", "log"),
    ("safetensors::", "io"),
    ("read_safetensors", "io"),
    ("read_npz", "io"),
];

/// Every breach in one file; `path` is relative to the repository.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let room = path.strip_prefix("src/").and_then(|rest| rest.split_once('/')).map(|(room, _)| room);
    let mut found = Vec::new();
    for (word, owner) in ONLY {
        if room != Some(owner) && code.contains(word) {
            found.push(format!("{path}: names {word}, which only src/{owner}/ may"));
        }
    }
    let Some(room) = room else { return found };
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
        found.push(format!("{path}: src/{room}/ is not in MAY_IMPORT; add it with the rooms it may import"));
        return found;
    };
    for import in imports(&code) {
        let known = MAY_IMPORT.iter().any(|(name, _)| *name == import);
        if known && import != room && !allowed.contains(&import.as_str()) {
            found.push(format!("{path}: src/{room}/ imports {import}, but may import only {allowed:?}"));
        }
    }
    found
}

/// The text without comments and without the unit tests at its end, which may look anywhere.
fn code_of(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    body.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// First segments of all paths from the crate's root: `crate::a::…`, `crate::{a::…, b}` and `super::super::a`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = code[at + "crate::".len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(group) => found.extend(first_segments(group)),
            None => found.push(identifier(rest)),
        }
    }
    for (at, _) in code.match_indices("super::super::") {
        found.push(identifier(code[at..].trim_start_matches("super::")));
    }
    found
}

/// What each member of a `{…}` group starts with; `group` begins after the opening brace.
fn first_segments(group: &str) -> Vec<String> {
    let (mut depth, mut members, mut member) = (0, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(std::mem::take(&mut member)),
            _ => member.push(c),
        }
    }
    members.push(member);
    members.iter().map(|member| identifier(member.trim_start())).collect()
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of this repository") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_room_imports_only_what_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    rust_files(&root.join("experiments"), &mut files);
    assert!(files.len() > 10, "found only {files:?}");

    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        let name = file.strip_prefix(root).expect("inside the repository").to_string_lossy().into_owned();
        found.extend(breaches(&name, &text));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn made_up_breaches_are_found() {
    let one = |path: &str, text: &str| {
        let found = breaches(path, text);
        assert_eq!(found.len(), 1, "{path}: {text:?} gave {found:?}");
        found[0].clone()
    };
    assert!(one("src/targets/a.rs", "use crate::samplers::rollout;").contains("imports samplers"));
    assert!(one("src/targets/a.rs", "fn f() { crate::train::run() }").contains("imports train"));
    assert!(one("src/io/a.rs", "use crate::{\n    bad_input,\n    targets::{Target, Calls},\n};").contains("targets"));
    assert!(one("src/metrics/sinkhorn/a.rs", "use super::super::nets::Mlp;").contains("imports nets"));
    assert!(one("src/claims/a.rs", "use crate::nets::Mlp;").contains("imports nets"));
    assert!(one("src/train/a.rs", "tch::manual_seed(1);").contains("manual_seed"));
    assert!(one("experiments/a.rs", "let v: serde_yaml::Value = x;").contains("only src/config/"));
    assert!(one("src/config/a.rs", "use tensorboard_rs::W;").contains("only src/log/"));
    assert!(one("src/walls/a.rs", "pub struct Wall;").contains("not in MAY_IMPORT"));
}

#[test]
fn what_is_allowed_passes() {
    for (path, text) in [
        ("src/samplers/a.rs", "use crate::processes::Grid;\nuse crate::{bad_input, targets::Target};"),
        ("src/torch/autograd.rs", "Tensor::run_backward(&[y], xs, true, true)"),
        ("src/io/a.rs", "use crate::torch::error::BadInput; // not crate::train"),
        ("src/metrics/a.rs", "/// See [`crate::train`].\nuse crate::metrics::weights;"),
        ("src/nets/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::targets::Target;\n}"),
        ("src/lib.rs", "pub mod train;"),
        ("experiments/a.rs", "use sampler::train::run;"),
    ] {
        assert_eq!(breaches(path, text), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn the_table_has_no_cycle() {
    // A room may import only rooms listed before it.
    for (at, (room, allowed)) in MAY_IMPORT.iter().enumerate() {
        let before: Vec<&str> = MAY_IMPORT[..at].iter().map(|(name, _)| *name).collect();
        for import in *allowed {
            assert!(before.contains(import), "{room} imports {import}, which is listed later");
        }
    }
}
