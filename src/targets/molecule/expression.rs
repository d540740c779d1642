//! Formulas in OpenMM's language: `0.5*charge^2/B; B=radius+offset; offset=0.009`.
//!
//! A formula and the definitions behind its semicolons (each may use those to its right) become one list of
//! operations without repetitions, which tensors of broadcastable shapes run through.

use std::collections::HashMap;
use std::ops::{Add, Div, Mul, Neg, Sub};

use tch::Tensor;

use super::formula::{Formula, Function, Node, Operator};
use super::system::Table;

/// What names mean in an expression.
pub struct Scope<'a> {
    /// Names whose values are given when the program runs, in that order.
    pub inputs: &'a [String],
    pub constants: &'a [(String, f64)],
    pub tables: &'a [Table],
}

/// One operation; numbers are places of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Op {
    Number(f64),
    Input(usize),
    Negate(usize),
    Binary(Operator, usize, usize),
    Call(Function, [usize; 3]),
    Table(usize, usize, usize),
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Program {
    ops: Vec<Op>,
    result: usize,
    tables: Vec<Table>,
}

impl Program {
    /// Compiles a text; the error says what in it is not understood.
    pub fn compile(text: &str, scope: &Scope) -> Result<Self, String> {
        let formula = Formula::parse(text)?;
        let mut compiler = Compiler { scope, formula: &formula, ops: Vec::new(), known: HashMap::new() };
        // Definitions see those to their right only, so the rightmost comes first.
        for (name, node) in formula.definitions.iter().rev() {
            // One that nothing needs may speak of names that do not exist here.
            if let Ok(place) = compiler.node(*node) {
                compiler.known.insert(name, place);
            }
        }
        let result = compiler.node(formula.main)?;
        Ok(Self { ops: compiler.ops, result, tables: scope.tables.to_vec() })
    }

    /// The value for inputs in the scope's order, whose shapes broadcast.
    pub fn run(&self, inputs: &[Tensor]) -> Tensor {
        let needed = self.needed();
        let mut values: Vec<Value> = Vec::with_capacity(self.ops.len());
        for (op, needed) in self.ops.iter().zip(needed) {
            let value = if needed { self.apply(op, &values, inputs) } else { Value::Number(f64::NAN) };
            values.push(value);
        }
        match values.swap_remove(self.result) {
            Value::Tensor(tensor) => tensor,
            Value::Number(number) => inputs[0].zeros_like() + number,
        }
    }

    /// Which operations the result depends on.
    fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.ops.len()];
        needed[self.result] = true;
        for place in (0..=self.result).rev() {
            if !needed[place] {
                continue;
            }
            let sources = match self.ops[place] {
                Op::Number(_) | Op::Input(_) => [place; 3],
                Op::Negate(a) => [a; 3],
                Op::Binary(_, a, b) | Op::Table(_, a, b) => [a, b, b],
                Op::Call(_, sources) => sources,
            };
            for source in sources {
                needed[source] = true;
            }
        }
        needed
    }

    fn apply(&self, op: &Op, values: &[Value], inputs: &[Tensor]) -> Value {
        let value = |place: usize| values[place].share();
        match *op {
            Op::Number(number) => Value::Number(number),
            Op::Input(index) => Value::Tensor(inputs[index].shallow_clone()),
            Op::Negate(a) => value(a).map(f64::neg, |t| t.neg()),
            Op::Binary(operator, a, b) => value(a).binary(operator, value(b)),
            Op::Call(function, [a, b, c]) => call(function, value(a), value(b), value(c)),
            Op::Table(table, x, y) => look_up(&self.tables[table], value(x), value(y)),
        }
    }
}

/// A number until a tensor joins in.
enum Value {
    Number(f64),
    Tensor(Tensor),
}

impl Value {
    fn share(&self) -> Self {
        match self {
            Self::Number(number) => Self::Number(*number),
            Self::Tensor(tensor) => Self::Tensor(tensor.shallow_clone()),
        }
    }

    fn map(self, number: impl Fn(f64) -> f64, tensor: impl Fn(Tensor) -> Tensor) -> Self {
        match self {
            Self::Number(a) => Self::Number(number(a)),
            Self::Tensor(a) => Self::Tensor(tensor(a)),
        }
    }

    /// As a tensor of the kind and device of `like`.
    fn tensor(self, like: &Tensor) -> Tensor {
        match self {
            Self::Number(number) => Tensor::from(number).to_kind(like.kind()).to_device(like.device()),
            Self::Tensor(tensor) => tensor,
        }
    }

    fn binary(self, operator: Operator, other: Self) -> Self {
        use Operator::*;
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Self::Number(match operator {
                Add => a.add(b),
                Subtract => a.sub(b),
                Multiply => a.mul(b),
                Divide => a.div(b),
                Power => a.powf(b),
            }),
            (Self::Tensor(a), Self::Number(b)) => Self::Tensor(match operator {
                Add => a + b,
                Subtract => a - b,
                Multiply => a * b,
                Divide => a / b,
                Power => a.pow_tensor_scalar(b),
            }),
            (a, Self::Tensor(b)) => {
                let a = a.tensor(&b);
                Self::Tensor(match operator {
                    Add => a + b,
                    Subtract => a - b,
                    Multiply => a * b,
                    Divide => a / b,
                    Power => a.pow(&b),
                })
            }
        }
    }
}

fn call(function: Function, a: Value, b: Value, c: Value) -> Value {
    match function {
        Function::Sqrt => a.map(f64::sqrt, |t| t.sqrt()),
        Function::Exp => a.map(f64::exp, |t| t.exp()),
        Function::Log => a.map(f64::ln, |t| t.log()),
        Function::Sin => a.map(f64::sin, |t| t.sin()),
        Function::Cos => a.map(f64::cos, |t| t.cos()),
        Function::Tanh => a.map(f64::tanh, |t| t.tanh()),
        Function::Erf => a.map(|x| Tensor::from(x).erf().double_value(&[]), |t| t.erf()),
        Function::Abs => a.map(f64::abs, |t| t.abs()),
        Function::Step => a.map(|x| f64::from(x >= 0.0), |t| t.ge(0.0).to_kind(t.kind())),
        Function::Delta => a.map(|x| f64::from(x == 0.0), |t| t.eq(0.0).to_kind(t.kind())),
        Function::Min => extreme(a, b, f64::min, |a, b| a.minimum(b)),
        Function::Max => extreme(a, b, f64::max, |a, b| a.maximum(b)),
        Function::Select => select(a, b, c),
    }
}

fn extreme(a: Value, b: Value, number: fn(f64, f64) -> f64, tensor: fn(&Tensor, &Tensor) -> Tensor) -> Value {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Value::Number(number(a, b)),
        (Value::Tensor(a), b) => {
            let b = b.tensor(&a);
            Value::Tensor(tensor(&a, &b))
        }
        (a, Value::Tensor(b)) => Value::Tensor(tensor(&a.tensor(&b), &b)),
    }
}

/// The second where the first is not 0, else the third.
fn select(condition: Value, yes: Value, no: Value) -> Value {
    match condition {
        Value::Number(0.0) => no,
        Value::Number(_) => yes,
        Value::Tensor(condition) => {
            let (yes, no) = (yes.tensor(&condition), no.tensor(&condition));
            Value::Tensor(yes.where_self(&condition.ne(0.0), &no))
        }
    }
}

fn look_up(table: &Table, x: Value, y: Value) -> Value {
    let last = [table.width as f64 - 1.0, table.height as f64 - 1.0];
    match (x, y) {
        (Value::Number(x), Value::Number(y)) => {
            let place = x.round().clamp(0.0, last[0]) + y.round().clamp(0.0, last[1]) * table.width as f64;
            Value::Number(table.values.get(place as usize).copied().unwrap_or(f64::NAN))
        }
        (Value::Tensor(x), y) => Value::Tensor(gather(table, &x, &y.tensor(&x), last)),
        (x, Value::Tensor(y)) => Value::Tensor(gather(table, &x.tensor(&y), &y, last)),
    }
}

fn gather(table: &Table, x: &Tensor, y: &Tensor, last: [f64; 2]) -> Tensor {
    let place = x.round().clamp(0.0, last[0]) + y.round().clamp(0.0, last[1]) * table.width as f64;
    let values = Tensor::from_slice(&table.values).to_kind(x.kind()).to_device(x.device());
    let found = values.index_select(0, &place.detach().to_kind(tch::Kind::Int64).flatten(0, -1));
    found.view(place.size().as_slice())
}

struct Compiler<'a> {
    scope: &'a Scope<'a>,
    formula: &'a Formula,
    ops: Vec<Op>,
    known: HashMap<&'a str, usize>,
}

impl Compiler<'_> {
    /// Compiles a node of the formula and returns the place of its value.
    fn node(&mut self, node: usize) -> Result<usize, String> {
        let op = match &self.formula.nodes[node] {
            Node::Number(number) => Op::Number(*number),
            Node::Name(name) => return self.name(name),
            Node::Negate(a) => Op::Negate(self.node(*a)?),
            Node::Binary(operator, a, b) => Op::Binary(*operator, self.node(*a)?, self.node(*b)?),
            Node::Call(name, arguments) => {
                let places = arguments.iter().map(|a| self.node(*a)).collect::<Result<Vec<_>, _>>()?;
                self.call(name, &places)?
            }
        };
        Ok(self.push(op))
    }

    fn name(&mut self, name: &str) -> Result<usize, String> {
        if let Some(place) = self.known.get(name) {
            return Ok(*place);
        }
        if let Some(index) = self.scope.inputs.iter().position(|input| input == name) {
            return Ok(self.push(Op::Input(index)));
        }
        match self.scope.constants.iter().find(|(constant, _)| constant == name) {
            Some((_, value)) => Ok(self.push(Op::Number(*value))),
            None => Err(format!("'{name}' is neither defined nor a parameter")),
        }
    }

    fn call(&mut self, name: &str, places: &[usize]) -> Result<Op, String> {
        if let Some(table) = self.scope.tables.iter().position(|table| table.name == name) {
            let wanted = if self.scope.tables[table].height == 1 { 1..=2 } else { 2..=2 };
            return match places {
                [x] if wanted.contains(&1) => {
                    let zero = self.push(Op::Number(0.0));
                    Ok(Op::Table(table, *x, zero))
                }
                [x, y] => Ok(Op::Table(table, *x, *y)),
                _ => Err(format!("'{name}' is given {} arguments", places.len())),
            };
        }
        let (function, count) = Function::named(name).ok_or_else(|| format!("function '{name}' is not supported"))?;
        if places.len() != count {
            return Err(format!("'{name}' is given {} arguments, expected {count}", places.len()));
        }
        let argument = |k: usize| places[k.min(count - 1)];
        Ok(Op::Call(function, [argument(0), argument(1), argument(2)]))
    }

    /// The place of an operation, which is an earlier one if there is the same already.
    fn push(&mut self, op: Op) -> usize {
        if let Some(place) = self.ops.iter().position(|known| *known == op) {
            return place;
        }
        self.ops.push(op);
        self.ops.len() - 1
    }
}
