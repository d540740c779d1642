//! The stack machine whose program a pickle is.

use std::collections::HashMap;

use anyhow::Result;

use super::blob::number;
use super::pickle::{Node, Value, text};
use crate::bad_input;

/// The stack machine.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Heights of the stack at which marks stand.
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    nodes: Vec<Node>,
}

impl<'a> Machine<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), nodes: Vec::new() }
    }

    /// Runs to the end; returns the value left, and all nodes.
    pub fn run(mut self) -> Result<(Value, Vec<Node>)> {
        loop {
            let at = self.at;
            let opcode = self.take(1).map_or(0, |start| self.bytes[start]);
            if opcode == b'.' {
                return match (self.stack.as_slice(), self.marks.as_slice()) {
                    (&[root], []) => Ok((root, self.nodes)),
                    _ => Err(bad_input!("pickle ends with {} values, expected one", self.stack.len())),
                };
            }
            if self.step(opcode).is_none() {
                return Err(self.complaint(opcode, at));
            }
        }
    }

    fn complaint(&self, opcode: u8, at: usize) -> anyhow::Error {
        if self.at >= self.bytes.len() {
            return bad_input!("pickle is cut short at byte {at}");
        }
        bad_input!("pickle instruction {opcode:#04x} at byte {at} is damaged or of a kind no tensor file holds")
    }

    /// Does one instruction; `None` if it makes no sense here.
    fn step(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            // Framing and the memo.
            0x80 => self.take(1).map(|_| ()),
            0x95 => self.take(8).map(|_| ()),
            b'q' => self.numeral::<1>().and_then(|key| self.remember(key)),
            b'r' => self.numeral::<4>().and_then(|key| self.remember(key)),
            0x94 => self.remember(self.memo.len() as u64),
            b'h' => self.numeral::<1>().and_then(|key| self.recall(key)),
            b'j' => self.numeral::<4>().and_then(|key| self.recall(key)),

            // The stack.
            b'(' => {
                self.marks.push(self.stack.len());
                Some(())
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_to_mark().map(|_| ()),
            b'2' => self.stack.last().copied().and_then(|top| self.push(top)),

            // Plain values.
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool(opcode == 0x88)),
            b'K' => self.numeral::<1>().and_then(|n| self.push(Value::Int(n as i64))),
            b'M' => self.numeral::<2>().and_then(|n| self.push(Value::Int(n as i64))),
            b'J' => self.numeral::<4>().and_then(|n| self.push(Value::Int(i64::from(n as u32 as i32)))),
            0x8a => self.numeral::<1>().and_then(|len| self.long(len)),
            0x8b => self.numeral::<4>().and_then(|len| self.long(len)),
            b'G' => {
                let start = self.take(8)?;
                let bits: [u8; 8] = self.bytes[start..start + 8].try_into().ok()?;
                self.push(Value::Float(f64::from_be_bytes(bits)))
            }
            0x8c | b'U' => self.numeral::<1>().and_then(|len| self.string(len)),
            b'X' | b'T' => self.numeral::<4>().and_then(|len| self.string(len)),
            0x8d => self.numeral::<8>().and_then(|len| self.string(len)),
            b'C' => self.numeral::<1>().and_then(|len| self.skip(len)),
            b'B' => self.numeral::<4>().and_then(|len| self.skip(len)),
            0x8e | 0x96 => self.numeral::<8>().and_then(|len| self.skip(len)),
            _ => self.build(opcode),
        }
    }

    /// Instructions that make or fill a node.
    fn build(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b']' => self.make(Node::List(Vec::new())),
            b')' => self.make(Node::Tuple(Vec::new())),
            b'}' => self.make(Node::Dict(Vec::new())),
            0x8f => self.make(Node::Set),
            b't' => self.pop_to_mark().and_then(|items| self.make(Node::Tuple(items))),
            0x85..=0x87 => {
                let first = self.stack.len().checked_sub(usize::from(opcode - 0x84))?;
                let items = (first >= self.floor()).then(|| self.stack.split_off(first))?;
                self.make(Node::Tuple(items))
            }
            0x91 => self.pop_to_mark().and_then(|_| self.make(Node::Set)),
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])
            }
            b'e' => self.pop_to_mark().and_then(|items| self.append(&items)),
            0x90 => self.pop_to_mark().map(|_| ()),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])
            }
            b'u' => self.pop_to_mark().and_then(|items| self.set(&items)),

            // Names, and the calls that are not made.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.make(Node::Global { module, name })
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.make(Node::Global { module, name })
            }
            b'Q' => self.pop().and_then(|id| self.make(Node::Persistent(id))),
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.make(Node::Call { callable, args, entries: Vec::new() })
            }
            0x92 => {
                let (_, args, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.make(Node::Call { callable, args, entries: Vec::new() })
            }
            // An object's attributes: none that matters to a tensor.
            b'b' => self.pop().map(|_| ()),
            _ => None,
        }
    }

    /// Advances past `len` bytes; returns where they start.
    fn take(&mut self, len: usize) -> Option<usize> {
        let start = self.at;
        self.at = start.checked_add(len).filter(|end| *end <= self.bytes.len())?;
        Some(start)
    }

    fn numeral<const WIDTH: usize>(&mut self) -> Option<u64> {
        let start = self.take(WIDTH)?;
        number::<WIDTH>(self.bytes, start)
    }

    fn string(&mut self, len: u64) -> Option<()> {
        let start = self.take(usize::try_from(len).ok()?)?;
        let value = Value::Text { start: start as u32, len: len as u32 };
        let readable = text(self.bytes, value).is_some();
        self.push(if readable { value } else { Value::Other })
    }

    fn skip(&mut self, len: u64) -> Option<()> {
        self.take(usize::try_from(len).ok()?)?;
        self.push(Value::Other)
    }

    /// A two's complement integer of any length; those past 64 bits are nobody's business.
    fn long(&mut self, len: u64) -> Option<()> {
        let len = usize::try_from(len).ok()?;
        let start = self.take(len)?;
        let bytes = &self.bytes[start..start + len];
        if len > 8 {
            return self.push(Value::Other);
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        wide[..len].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    /// Text up to the line's end.
    fn line(&mut self) -> Option<Value> {
        let len = self.bytes[self.at..].iter().position(|byte| *byte == b'\n')?;
        let start = self.take(len + 1)?;
        let value = Value::Text { start: start as u32, len: len as u32 };
        text(self.bytes, value).map(|_| value)
    }

    fn remember(&mut self, key: u64) -> Option<()> {
        self.memo.insert(key, *self.stack.last()?);
        Some(())
    }

    fn recall(&mut self, key: u64) -> Option<()> {
        let value = *self.memo.get(&key)?;
        self.push(value)
    }

    fn push(&mut self, value: Value) -> Option<()> {
        self.stack.push(value);
        Some(())
    }

    fn make(&mut self, node: Node) -> Option<()> {
        let id = u32::try_from(self.nodes.len()).ok()?;
        self.nodes.push(node);
        self.push(Value::Node(id))
    }

    /// The height below which the stack belongs to an outer mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Option<Value> {
        if self.stack.len() > self.floor() { self.stack.pop() } else { None }
    }

    fn pop_to_mark(&mut self) -> Option<Vec<Value>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn top(&mut self) -> Option<&mut Node> {
        match *self.stack.last()? {
            Value::Node(id) => self.nodes.get_mut(id as usize),
            _ => None,
        }
    }

    fn append(&mut self, added: &[Value]) -> Option<()> {
        match self.top()? {
            Node::List(items) => items.extend_from_slice(added),
            Node::Call { .. } => {}
            _ => return None,
        }
        Some(())
    }

    fn set(&mut self, added: &[Value]) -> Option<()> {
        let (pairs, []) = added.as_chunks::<2>() else { return None };
        match self.top()? {
            Node::Dict(entries) | Node::Call { entries, .. } => {
                entries.extend(pairs.iter().map(|&[key, value]| (key, value)))
            }
            _ => return None,
        }
        Some(())
    }
}
