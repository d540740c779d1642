//! Configs a person could write by mistake, each with what the one-line answer must say.
//!
//! The table knows only keys that every bridge config has, so that it serves a test of the loader (with a small struct
//! tree) and a test of a binary alike.

/// One mistake: a config file (and files beside it), overrides, and the parts its message must contain.
pub struct Broken {
    pub name: &'static str,
    /// Content of `config.yaml`; `None` leaves the file out.
    pub yaml: Option<Vec<u8>>,
    /// Further files in the same folder.
    pub beside: Vec<(&'static str, String)>,
    pub overrides: Vec<&'static str>,
    pub says: Vec<&'static str>,
}

/// A config without mistakes; the cases below differ from it in one place.
pub const SOUND: &str = "\
seed: 0
target:
  type: funnel
  dim: 10
process:
  type: cmcd
  num_steps: 8
net:
  type: pis_grad
  hidden: 16
  layers: 2
loss:
  type: rkl_ld
train:
  steps: 10
  batch: 16
  learning_rate: 1e-3
  clip_norm: 1.0
  eval_every: 5
  checkpoint_every: 5
  keep_checkpoints: 2
  chunk_rows: 64
eval:
  samples: 100
";

pub fn broken_configs() -> Vec<Broken> {
    let mut cases = Vec::new();
    cases.extend(unknown_keys());
    cases.extend(wrong_types());
    cases.extend(impossible_values());
    cases.extend(missing_keys());
    cases.extend(bad_yaml());
    cases.extend(bad_files());
    cases.extend(bad_parents());
    cases.extend(bad_overrides());
    cases
}

fn unknown_keys() -> Vec<Broken> {
    vec![
        edited("hiden", "  hidden: 16", "  hiden: 16", &["config.yaml:10:", "'net.hiden'", "did you mean 'hidden'?"]),
        edited("stesp", "  steps: 10", "  stesp: 10", &["config.yaml:15:", "'train.stesp'", "did you mean 'steps'?"]),
        edited(
            "lr",
            "  learning_rate: 1e-3",
            "  lr: 1e-3",
            &["config.yaml:17:", "'train.lr'", "did you mean 'learning_rate'?"],
        ),
        edited("tagret", "target:", "tagret:", &["config.yaml:2:", "'tagret'", "did you mean 'target'?"]),
        edited("dimension", "  dim: 10", "  dimension: 10", &["config.yaml:4:", "'target.dimension'", "'dim'"]),
        edited("upper case", "  batch: 16", "  Batch: 16", &["'train.Batch'", "did you mean 'batch'?"]),
        edited("hyphen", "  clip_norm: 1.0", "  clip-norm: 1.0", &["'train.clip-norm'", "did you mean 'clip_norm'?"]),
        edited(
            "key at the wrong level",
            "seed: 0",
            "seed: 0\nnum_steps: 8",
            &["config.yaml:2:", "'num_steps'", "process.num_steps"],
        ),
        edited(
            "key of another section",
            "  samples: 100",
            "  samples: 100\n  batch: 3",
            &["config.yaml:25:", "'eval.batch'"],
        ),
        edited(
            "key below a loss without fields",
            "  type: rkl_ld",
            "  type: rkl_ld\n  gama: 1",
            &["config.yaml:14:", "'loss.gama'"],
        ),
        edited(
            "misspelt type",
            "  type: rkl_ld",
            "  typ: rkl_ld",
            &["config.yaml:13:", "'loss.typ'", "did you mean 'type'?"],
        ),
        edited(
            "extra section",
            "eval:\n",
            "nothing_of_the_kind: 3\neval:\n",
            &["config.yaml:23:", "'nothing_of_the_kind'", "seed"],
        ),
        edited(
            "unknown target",
            "  type: funnel",
            "  type: funel",
            &["config.yaml:3:", "'target.type'", "did you mean 'funnel'?"],
        ),
        edited(
            "unknown loss",
            "  type: rkl_ld",
            "  type: rkl_ls",
            &["config.yaml:13:", "'loss.type'", "did you mean 'rkl_ld'?"],
        ),
        edited(
            "unknown net",
            "  type: pis_grad",
            "  type: transformator",
            &["config.yaml:9:", "'net.type'", "pis_grad"],
        ),
        edited(
            "upper-case type",
            "  type: cmcd",
            "  type: CMCD",
            &["config.yaml:6:", "'process.type'", "did you mean 'cmcd'?"],
        ),
    ]
}

fn wrong_types() -> Vec<Broken> {
    vec![
        edited(
            "text for a whole number",
            "  hidden: 16",
            "  hidden: many",
            &["config.yaml:10:", "'net.hidden'", "whole number", "'many'"],
        ),
        edited(
            "underscores",
            "  samples: 100",
            "  samples: 1_000",
            &["config.yaml:24:", "'eval.samples'", "write 1000"],
        ),
        edited("exponent", "  steps: 10", "  steps: 1e4", &["config.yaml:15:", "'train.steps'", "write 10000"]),
        edited("point zero", "  batch: 16", "  batch: 16.0", &["config.yaml:16:", "'train.batch'", "write 16"]),
        edited("fraction", "  layers: 2", "  layers: 2.5", &["config.yaml:11:", "'net.layers'", "whole number", "2.5"]),
        edited(
            "text for a number",
            "  learning_rate: 1e-3",
            "  learning_rate: fast",
            &["config.yaml:17:", "'train.learning_rate'", "a number", "'fast'"],
        ),
        edited("quoted number", "  dim: 10", "  dim: \"10\"", &["config.yaml:4:", "'target.dim'", "write 10"]),
        edited(
            "comma for a point",
            "  learning_rate: 1e-3",
            "  learning_rate: 0,001",
            &["'train.learning_rate'", "'0,001'"],
        ),
        edited("yes", "  steps: 10", "  steps: yes", &["config.yaml:15:", "'train.steps'", "'yes'"]),
        edited("true", "  hidden: 16", "  hidden: true", &["'net.hidden'", "whole number", "true"]),
        edited("null", "  dim: 10", "  dim: null", &["config.yaml:4:", "'target.dim'", "null"]),
        edited("value left out", "  num_steps: 8", "  num_steps:", &["config.yaml:7:", "'process.num_steps'", "null"]),
        edited(
            "list for a number",
            "  batch: 16",
            "  batch: [16, 32]",
            &["config.yaml:16:", "'train.batch'", "a list of 2"],
        ),
        edited(
            "mapping for a number",
            "  batch: 16",
            "  batch: {size: 16}",
            &["config.yaml:16:", "'train.batch'", "a mapping"],
        ),
        edited(
            "text for a section",
            "loss:\n  type: rkl_ld",
            "loss: rkl_ld",
            &["config.yaml:12:", "'loss'", "{type: rkl_ld}"],
        ),
        edited(
            "number for a section",
            "eval:\n  samples: 100",
            "eval: 100",
            &["config.yaml:23:", "'eval'", "mapping", "100"],
        ),
        edited(
            "list for a section",
            "eval:\n  samples: 100",
            "eval:\n  - samples: 100",
            &["config.yaml:23:", "'eval'"],
        ),
        edited("null for a section", "loss:\n  type: rkl_ld", "loss:", &["config.yaml:12:", "'loss"]),
        edited("number for a type", "  type: cmcd", "  type: 3", &["config.yaml:6:", "'process.type'", "3"]),
        edited("list for a type", "  type: cmcd", "  type: [cmcd]", &["config.yaml:6:", "'process.type'"]),
        edited("negative count", "  hidden: 16", "  hidden: -16", &["config.yaml:10:", "'net.hidden'", "-16"]),
        edited("negative seed", "seed: 0", "seed: -1", &["config.yaml:1:", "'seed'", "-1"]),
        edited(
            "number past 64 bits",
            "  steps: 10",
            "  steps: 100000000000000000000",
            &["config.yaml:15:", "'train.steps'"],
        ),
        edited("arithmetic", "  steps: 10", "  steps: 10 * 1000", &["'train.steps'", "'10 * 1000'"]),
    ]
}

fn impossible_values() -> Vec<Broken> {
    vec![
        edited("dim 0", "  dim: 10", "  dim: 0", &["config.yaml:4:", "'target.dim'", "0"]),
        edited("no steps", "  num_steps: 8", "  num_steps: 0", &["config.yaml:7:", "'process.num_steps'", "0"]),
        edited("hidden 0", "  hidden: 16", "  hidden: 0", &["config.yaml:10:", "'net.hidden'", "0"]),
        edited("batch 0", "  batch: 16", "  batch: 0", &["config.yaml:16:", "'train.batch'", "0"]),
        edited(
            "negative learning rate",
            "  learning_rate: 1e-3",
            "  learning_rate: -0.1",
            &["config.yaml:17:", "'train.learning_rate'", "-0.1"],
        ),
        edited(
            "learning rate NaN",
            "  learning_rate: 1e-3",
            "  learning_rate: .nan",
            &["config.yaml:17:", "'train.learning_rate'", "finite"],
        ),
        edited(
            "learning rate infinite",
            "  learning_rate: 1e-3",
            "  learning_rate: .inf",
            &["config.yaml:17:", "'train.learning_rate'", "finite"],
        ),
        edited("clip norm 0", "  clip_norm: 1.0", "  clip_norm: 0", &["config.yaml:18:", "'train.clip_norm'", "0"]),
        edited(
            "keep no checkpoint",
            "  keep_checkpoints: 2",
            "  keep_checkpoints: 0",
            &["config.yaml:21:", "'train.keep_checkpoints'", "0"],
        ),
        edited(
            "chunks of 0 rows",
            "  chunk_rows: 64",
            "  chunk_rows: 0",
            &["config.yaml:22:", "'train.chunk_rows'", "0"],
        ),
        edited("no evaluation samples", "  samples: 100", "  samples: 0", &["config.yaml:24:", "'eval.samples'", "0"]),
    ]
}

fn missing_keys() -> Vec<Broken> {
    vec![
        edited("no type", "  type: funnel\n", "", &["config.yaml:2:", "'target.type'", "missing"]),
        edited("no target", "target:\n  type: funnel\n  dim: 10\n", "", &["config.yaml:", "'target'", "missing"]),
        edited(
            "empty target",
            "target:\n  type: funnel\n  dim: 10\n",
            "target: {}\n",
            &["config.yaml:2:", "'target.type'", "missing"],
        ),
    ]
}

fn bad_yaml() -> Vec<Broken> {
    let deep = format!("seed: {}0{}\n", "[".repeat(20_000), "]".repeat(20_000));
    let mut bomb = "a0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n".to_string();
    for level in 1..12 {
        let last = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![last; 10].join(", "));
    }
    vec![
        whole("duplicate key", "seed: 0\nseed: 1\n", &["config.yaml:", "seed", "duplicate"]),
        edited("duplicate nested key", "  dim: 10", "  dim: 10\n  dim: 20", &["config.yaml:", "dim", "duplicate"]),
        edited("tab", "  hidden: 16", "\thidden: 16", &["config.yaml:10:", "spaces, not tabs"]),
        edited("bad indentation", "  hidden: 16", "    hidden: 16", &["config.yaml:"]),
        edited("no space after the colon", "  hidden: 16", "  hidden:16", &["config.yaml:"]),
        edited("open bracket", "  hidden: 16", "  hidden: [16", &["config.yaml:", "not valid YAML"]),
        edited("open quote", "  type: cmcd", "  type: 'cmcd", &["config.yaml:"]),
        edited("unknown anchor", "  dim: 10", "  dim: *ten", &["config.yaml:4:", "anchor"]),
        edited(
            "tag",
            "target:\n  type: funnel\n  dim: 10",
            "target: !funnel\n  dim: 10",
            &["config.yaml:2:", "'target'", "!funnel"],
        ),
        edited("key that is a number", "seed: 0", "seed: 0\n7: 3", &["config.yaml", "7"]),
        whole("two documents", "seed: 0\n---\nseed: 1\n", &["config.yaml", "more than one document"]),
        whole("deep nesting", &deep, &["config.yaml:", "recursion limit"]),
        whole("alias bomb", &bomb, &["config.yaml", "repetition limit"]),
        whole("control character", "seed: \u{7}\n", &["config.yaml:1:", "control characters"]),
    ]
}

fn bad_files() -> Vec<Broken> {
    let huge = format!("seed: 0\n{}", "# nothing to see here\n".repeat(60_000));
    vec![
        bytes("not UTF-8", b"seed: 0\nname: \xff\xfe\n".to_vec(), &["config.yaml", "UTF-8", "byte 14"]),
        bytes("binary", vec![0x80; 300], &["config.yaml", "UTF-8"]),
        whole("empty", "", &["config.yaml", "empty"]),
        whole("comments only", "# seed: 0\n\n", &["config.yaml", "empty"]),
        whole("list", "- seed: 0\n- seed: 1\n", &["config.yaml:1:", "mapping", "a list of 2"]),
        whole("bare text", "seed 0\n", &["config.yaml:1:", "mapping", "'seed 0'"]),
        whole("JSON number", "3\n", &["config.yaml:1:", "mapping", "3"]),
        whole("huge", &huge, &["config.yaml", "larger than 1 MiB"]),
        Broken {
            beside: vec![("confg.yaml", SOUND.into())],
            ..bare("missing file", None, &["config.yaml", "no such file", "did you mean 'confg.yaml'?"])
        },
    ]
}

fn bad_parents() -> Vec<Broken> {
    let child = |parent: &str| format!("extends: {parent}\nseed: 1\n");
    let with = |name, yaml: String, beside: Vec<(&'static str, String)>, says: &[&'static str]| Broken {
        beside,
        ..whole(name, &yaml, says)
    };
    vec![
        with(
            "missing parent",
            child("basee.yaml"),
            vec![("base.yaml", SOUND.into())],
            &["config.yaml:1:", "basee.yaml", "did you mean 'base.yaml'?"],
        ),
        with(
            "parent in a missing folder",
            child("up/base.yaml"),
            vec![],
            &["config.yaml:1:", "up/base.yaml", "no folder"],
        ),
        with("own parent", child("config.yaml"), vec![], &["config.yaml", "circle"]),
        with(
            "circle of two",
            child("other.yaml"),
            vec![("other.yaml", child("config.yaml"))],
            &["circle", "other.yaml", "->"],
        ),
        with("list of parents", child("[a.yaml, b.yaml]"), vec![], &["config.yaml:1:", "'extends'", "a list of 2"]),
        with("parent that is a folder", child("."), vec![], &["config.yaml:1:", "folder"]),
        with(
            "mistake in the parent",
            child("base.yaml"),
            vec![("base.yaml", SOUND.replace("hidden", "hiden"))],
            &["base.yaml:10:", "'net.hiden'", "'hidden'"],
        ),
        with(
            "broken parent",
            child("base.yaml"),
            vec![("base.yaml", "seed: [".into())],
            &["base.yaml:", "not valid YAML"],
        ),
        with(
            "mistake in the child",
            format!("{}net:\n  hiden: 3\n", child("base.yaml")),
            vec![("base.yaml", SOUND.into())],
            &["config.yaml:4:", "'net.hiden'", "'hidden'"],
        ),
    ]
}

fn bad_overrides() -> Vec<Broken> {
    vec![
        over("unknown key", "net.hiden=3", &["'net.hiden=3'", "'net.hiden'", "did you mean 'hidden'?"]),
        over("unknown section", "trian.steps=3", &["'trian.steps=3'", "did you mean 'train'?"]),
        over("bare name of a nested key", "dim=3", &["'dim=3'", "target.dim"]),
        over("wrong type", "train.steps=lots", &["'train.steps=lots'", "whole number", "'lots'"]),
        over("underscores", "train.steps=1_000", &["'train.steps=1_000'", "write 1000"]),
        over(
            "impossible value",
            "train.learning_rate=-1",
            &["'train.learning_rate=-1'", "'train.learning_rate'", "-1"],
        ),
        over("NaN", "train.learning_rate=.nan", &["'train.learning_rate=.nan'", "finite"]),
        over("unknown type", "target.type=funel", &["'target.type=funel'", "'target.type'", "did you mean 'funnel'?"]),
        over("no equals sign", "train.steps", &["'train.steps'", "key=value"]),
        over("no key", "=3", &["'=3'", "key"]),
        over("two dots", "train..steps=3", &["'train..steps=3'", "key"]),
        over("below a number", "seed.value=3", &["'seed.value=3'", "'seed'", "0"]),
        over("open bracket in an override", "train.steps=[1", &["'train.steps=[1'"]),
        over("broken YAML in an override", "train.steps=@1", &["'train.steps=@1'", "not valid YAML"]),
        over("misspelt type", "loss.typ=lv", &["'loss.typ=lv'", "unknown key 'loss.typ'", "did you mean 'type'?"]),
        over("extends", "extends=base.yaml", &["'extends=base.yaml'", "file"]),
        over("null where a number must be", "target.dim=null", &["'target.dim=null'", "'target.dim'", "null"]),
        over("text for a section", "loss=lv", &["'loss=lv'", "{type: lv}"]),
    ]
}

fn bare(name: &'static str, yaml: Option<Vec<u8>>, says: &[&'static str]) -> Broken {
    Broken { name, yaml, beside: Vec::new(), overrides: Vec::new(), says: says.to_vec() }
}

fn bytes(name: &'static str, yaml: Vec<u8>, says: &[&'static str]) -> Broken {
    bare(name, Some(yaml), says)
}

fn whole(name: &'static str, yaml: &str, says: &[&'static str]) -> Broken {
    bytes(name, yaml.as_bytes().to_vec(), says)
}

fn edited(name: &'static str, from: &str, to: &str, says: &[&'static str]) -> Broken {
    assert!(SOUND.contains(from), "{name}: nothing to edit");
    whole(name, &SOUND.replacen(from, to, 1), says)
}

fn over(name: &'static str, text: &'static str, says: &[&'static str]) -> Broken {
    Broken { overrides: vec![text], ..whole(name, SOUND, says) }
}
