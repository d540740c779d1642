//! Python pickles as data: what a pickle says, without doing what it says.
//!
//! A pickle is a program for a stack machine (Python's `pickletools` lists its instructions). Here calls of Python
//! functions are not made but noted as [`Node::Call`], so that a reader may know a few by name and pass over the rest.
//! Nodes lie in one list and name each other by index: deep nesting costs no recursion, and cycles no leak.

use anyhow::Result;

use super::pickle_machine::Machine;
use crate::bad_input;

/// A value: small ones as they are, text as a place in the pickle, anything larger by its node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text {
        start: u32,
        len: u32,
    },
    /// Bytes, huge integers: nothing that a tensor is made of.
    Other,
    Node(u32),
}

#[derive(Debug)]
pub enum Node {
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Set,
    Dict(Vec<(Value, Value)>),
    /// A Python name, `module.name`.
    Global {
        module: Value,
        name: Value,
    },
    /// What lies outside the pickle, by its identifier.
    Persistent(Value),
    /// A call that Python would make, and the entries it would then put into the result.
    Call {
        callable: Value,
        args: Value,
        entries: Vec<(Value, Value)>,
    },
}

/// A pickle, read.
pub struct Pickle<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    pub root: Value,
}

impl<'a> Pickle<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(bad_input!("pickle has {} bytes, more than 4 GiB", bytes.len()));
        }
        let (root, nodes) = Machine::new(bytes).run()?;
        Ok(Self { bytes, nodes, root })
    }

    pub fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(id) => self.nodes.get(id as usize),
            _ => None,
        }
    }

    pub fn text(&self, value: Value) -> Option<&'a str> {
        text(self.bytes, value)
    }

    /// The items of a list or tuple.
    pub fn items(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// `module.name` of a Python name.
    pub fn global(&self, value: Value) -> Option<String> {
        match self.node(value)? {
            Node::Global { module, name } => Some(format!("{}.{}", self.text(*module)?, self.text(*name)?)),
            _ => None,
        }
    }
}

/// The text that a value stands for.
pub(super) fn text(bytes: &[u8], value: Value) -> Option<&str> {
    let Value::Text { start, len } = value else { return None };
    let bytes = bytes.get(start as usize..start as usize + len as usize)?;
    std::str::from_utf8(bytes).ok()
}
