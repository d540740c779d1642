//! Files of `torch.save` since PyTorch 1.6: a zip archive of one pickle and its storages. No pickled code runs.
//!
//! Containers are walked and their keys joined by '.'; tensors are rebuilt from storage, offset, size and stride, as
//! `torch._utils._rebuild_tensor_v2` would. Objects of other classes (hyper-parameters, schedulers) are passed over.

use anyhow::Result;

use super::pickle::{Node, Pickle, Value};
use super::torch_storage::{Rebuilt, Storages};
use super::weights::{Content, Format};
use super::zip::Archive;
use crate::bad_input;

/// Containers in containers: more than this nobody builds.
const MAX_DEPTH: usize = 64;
/// Longer texts are not kept as metadata.
const MAX_TEXT: usize = 200;

/// Reads the archive whose pickle lies at `<prefix>data.pkl`.
pub fn read(archive: &Archive, prefix: &str, file_len: u64) -> Result<Content> {
    if archive.entry(&format!("{prefix}constants.pkl")).is_some() {
        return Err(bad_input!(
            "is a TorchScript archive (torch.jit.save, or VarStore::save), expected tensors; save its state_dict()"
        ));
    }
    let order = archive.entry(&format!("{prefix}byteorder")).map(|entry| archive.read(entry)).transpose()?;
    if order.is_some_and(|order| order != b"little") {
        return Err(bad_input!("was written on a big-endian machine; save it again on a little-endian one"));
    }
    let entry = archive.entry(&format!("{prefix}data.pkl")).ok_or_else(|| bad_input!("has no {prefix}data.pkl"))?;
    let bytes = archive.read(entry)?;
    let pickle = Pickle::read(&bytes)?;

    let content = Content { format: Format::Torch, ..Content::default() };
    let mut walk = Walk {
        pickle: &pickle,
        storages: Storages::new(&pickle, archive, prefix, file_len),
        content,
        visits_left: 4 * bytes.len() as u64 + 1000,
        names_left: 64 * file_len + 65536,
    };
    walk.root()?;
    Ok(walk.content)
}

struct Walk<'a> {
    pickle: &'a Pickle<'a>,
    storages: Storages<'a>,
    content: Content,
    // Shared containers and keys make a small pickle say much: what it says in all is bounded.
    visits_left: u64,
    names_left: u64,
}

impl Walk<'_> {
    fn root(&mut self) -> Result<()> {
        let root = self.pickle.root;
        if let Some(Node::Call { callable, .. }) = self.pickle.node(root) {
            let class = self.pickle.global(*callable).unwrap_or_default();
            if !is_mapping(&class) && !is_tensor(&class) {
                return Err(bad_input!("holds an object of class {class}, expected tensors; save its state_dict()"));
            }
        }
        self.visit(root, &mut Vec::new())
    }

    fn visit(&mut self, value: Value, path: &mut Vec<String>) -> Result<()> {
        self.visits_left =
            self.visits_left.checked_sub(1).ok_or_else(|| bad_input!("pickle repeats itself endlessly"))?;
        if path.len() > MAX_DEPTH {
            return Err(bad_input!("containers are nested more than {MAX_DEPTH} deep"));
        }
        let pickle = self.pickle;
        match pickle.node(value) {
            Some(Node::List(items) | Node::Tuple(items)) => {
                for (i, item) in items.iter().enumerate() {
                    self.below(i.to_string(), *item, path)?;
                }
            }
            Some(Node::Dict(entries)) => self.mapping(entries, path)?,
            Some(Node::Call { callable, args, entries }) => {
                let class = pickle.global(*callable).unwrap_or_default();
                if is_tensor(&class) {
                    self.tensor(&class, *args, path)?;
                } else if is_mapping(&class) {
                    self.pairs(*args, path)?;
                    self.mapping(entries, path)?;
                } else {
                    self.skip(path, &class)?;
                }
            }
            Some(Node::Set | Node::Global { .. } | Node::Persistent(_)) => {}
            None => self.scalar(value, path)?,
        }
        Ok(())
    }

    fn below(&mut self, step: String, value: Value, path: &mut Vec<String>) -> Result<()> {
        path.push(step);
        self.visit(value, path)?;
        path.pop();
        Ok(())
    }

    fn mapping(&mut self, entries: &[(Value, Value)], path: &mut Vec<String>) -> Result<()> {
        for (key, value) in entries {
            let step = match *key {
                Value::Int(key) => key.to_string(),
                key => self.pickle.text(key).unwrap_or("?").to_string(),
            };
            self.below(step, *value, path)?;
        }
        Ok(())
    }

    /// `OrderedDict([(key, value), ...])`, as Python 2 wrote it.
    fn pairs(&mut self, args: Value, path: &mut Vec<String>) -> Result<()> {
        let pickle = self.pickle;
        let listed = pickle.items(args).and_then(|args| args.first()).and_then(|list| pickle.items(*list));
        let pairs = listed.into_iter().flatten().filter_map(|pair| match pickle.items(*pair) {
            Some([key, value]) => Some((*key, *value)),
            _ => None,
        });
        self.mapping(&pairs.collect::<Vec<_>>(), path)
    }

    /// The dotted name of where the walk is.
    fn name(&mut self, path: &[String]) -> Result<String> {
        let name = if path.is_empty() { "tensor".to_string() } else { path.join(".") };
        let left = self.names_left.checked_sub(name.len() as u64 + 64);
        self.names_left =
            left.ok_or_else(|| bad_input!("names in the pickle add up to more than the file explains"))?;
        Ok(name)
    }

    fn skip(&mut self, path: &[String], what: &str) -> Result<()> {
        let name = self.name(path)?;
        self.content.skipped.push((name, what.to_string()));
        Ok(())
    }

    fn scalar(&mut self, value: Value, path: &[String]) -> Result<()> {
        let text = match value {
            Value::Bool(flag) => flag.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            value => match self.pickle.text(value) {
                Some(text) if text.len() <= MAX_TEXT => text.to_string(),
                _ => return Ok(()),
            },
        };
        let name = self.name(path)?;
        self.content.metadata.insert(name, text);
        Ok(())
    }

    fn tensor(&mut self, class: &str, args: Value, path: &[String]) -> Result<()> {
        let name = self.name(path)?;
        let rebuilt =
            self.storages.rebuild(class.to_string(), args).map_err(|error| bad_input!("tensor '{name}': {error}"))?;
        match rebuilt {
            Rebuilt::Tensor(tensor) => self.content.tensors.push((name, tensor)),
            Rebuilt::Unsupported(what) => self.content.skipped.push((name, what)),
        }
        Ok(())
    }
}

fn is_tensor(class: &str) -> bool {
    class.starts_with("torch._utils._rebuild_") || class == "torch._tensor._rebuild_from_type_v2"
}

fn is_mapping(class: &str) -> bool {
    matches!(class, "collections.OrderedDict" | "collections.defaultdict")
}
