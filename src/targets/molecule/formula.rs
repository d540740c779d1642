//! The syntax of OpenMM's expressions (Lepton): sums, products, powers, calls, and definitions after semicolons.

/// Nesting that no formula needs; deeper texts would exhaust the stack.
const DEEPEST: usize = 64;
/// OpenMM's longest expression has some 120 operations.
const MOST_NODES: usize = 2000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Sqrt,
    Exp,
    Log,
    Sin,
    Cos,
    Tanh,
    Erf,
    Abs,
    Step,
    Delta,
    Min,
    Max,
    Select,
}

impl Function {
    /// A function and how many arguments it takes.
    pub fn named(name: &str) -> Option<(Self, usize)> {
        Some(match name {
            "sqrt" => (Self::Sqrt, 1),
            "exp" => (Self::Exp, 1),
            "log" => (Self::Log, 1),
            "sin" => (Self::Sin, 1),
            "cos" => (Self::Cos, 1),
            "tanh" => (Self::Tanh, 1),
            "erf" => (Self::Erf, 1),
            "abs" => (Self::Abs, 1),
            "step" => (Self::Step, 1),
            "delta" => (Self::Delta, 1),
            "min" => (Self::Min, 2),
            "max" => (Self::Max, 2),
            "select" => (Self::Select, 3),
            _ => return None,
        })
    }
}

/// A part of a formula; numbers are indices into [`Formula::nodes`].
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Number(f64),
    Name(String),
    Negate(usize),
    Binary(Operator, usize, usize),
    Call(String, Vec<usize>),
}

/// A parsed text.
#[derive(Debug, Clone, Default)]
pub struct Formula {
    pub nodes: Vec<Node>,
    pub main: usize,
    /// Name and node of each definition, from left to right.
    pub definitions: Vec<(String, usize)>,
}

impl Formula {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut formula = Self::default();
        let mut parts = text.split(';');
        formula.main = formula.part(parts.next().unwrap_or_default())?;
        for part in parts.filter(|part| !part.trim().is_empty()) {
            let Some((name, value)) = part.split_once('=') else {
                return Err(format!("'{}' is no definition name=value", shorten(part)));
            };
            let node = formula.part(value)?;
            formula.definitions.push((name.trim().to_string(), node));
        }
        Ok(formula)
    }

    /// Parses one formula without definitions.
    fn part(&mut self, text: &str) -> Result<usize, String> {
        let mut parser = Parser { rest: text, formula: self, depth: 0 };
        let node = parser.sum()?;
        parser.skip_blanks();
        match parser.rest {
            "" => Ok(node),
            rest => Err(format!("'{}' is not understood", shorten(rest))),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    formula: &'a mut Formula,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes one of the characters if it comes next.
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        self.skip_blanks();
        let found = self.rest.chars().next().filter(|c| wanted.contains(c))?;
        self.rest = &self.rest[found.len_utf8()..];
        Some(found)
    }

    fn push(&mut self, node: Node) -> Result<usize, String> {
        if self.formula.nodes.len() >= MOST_NODES {
            return Err(format!("more than {MOST_NODES} operations"));
        }
        self.formula.nodes.push(node);
        Ok(self.formula.nodes.len() - 1)
    }

    fn sum(&mut self) -> Result<usize, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("parentheses or signs nested more than {DEEPEST} deep"));
        }
        let mut left = self.product()?;
        while let Some(sign) = self.take(&['+', '-']) {
            let right = self.product()?;
            let operator = if sign == '+' { Operator::Add } else { Operator::Subtract };
            left = self.push(Node::Binary(operator, left, right))?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn product(&mut self) -> Result<usize, String> {
        let mut left = self.signed()?;
        while let Some(sign) = self.take(&['*', '/']) {
            let right = self.signed()?;
            let operator = if sign == '*' { Operator::Multiply } else { Operator::Divide };
            left = self.push(Node::Binary(operator, left, right))?;
        }
        Ok(left)
    }

    /// A minus binds less than a power: `-x^2` is `-(x^2)`.
    fn signed(&mut self) -> Result<usize, String> {
        let mut negative = false;
        while let Some(sign) = self.take(&['-', '+']) {
            negative ^= sign == '-';
        }
        let node = self.power()?;
        if negative { self.push(Node::Negate(node)) } else { Ok(node) }
    }

    /// Powers group to the right: `2^3^2` is `2^(3^2)`.
    fn power(&mut self) -> Result<usize, String> {
        let base = self.atom()?;
        if self.take(&['^']).is_none() {
            return Ok(base);
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("powers nested more than {DEEPEST} deep"));
        }
        let exponent = self.signed()?;
        self.depth -= 1;
        self.push(Node::Binary(Operator::Power, base, exponent))
    }

    fn atom(&mut self) -> Result<usize, String> {
        if self.take(&['(']).is_some() {
            let inner = self.sum()?;
            return self.close().map(|()| inner);
        }
        self.skip_blanks();
        match self.rest.chars().next() {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.name(),
            Some(_) => Err(format!("'{}' is not understood", shorten(self.rest))),
            None => Err("ends where a number or a name should follow".to_string()),
        }
    }

    fn close(&mut self) -> Result<(), String> {
        self.take(&[')']).map(|_| ()).ok_or_else(|| format!("')' expected before '{}'", shorten(self.rest)))
    }

    fn number(&mut self) -> Result<usize, String> {
        let bytes = self.rest.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(|b| b.is_ascii_digit() || *b == b'.') {
                at += 1;
            }
            at
        };
        let mut end = digits(0);
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let after = digits(end + 1 + sign);
            end = if after > end + 1 + sign { after } else { end };
        }
        let (text, rest) = self.rest.split_at(end);
        let number: f64 = text.parse().map_err(|_| format!("'{}' is no number", shorten(text)))?;
        self.rest = rest;
        self.push(Node::Number(number))
    }

    fn name(&mut self) -> Result<usize, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        if self.take(&['(']).is_none() {
            return self.push(Node::Name(name.to_string()));
        }
        let mut arguments = vec![self.sum()?];
        while self.take(&[',']).is_some() {
            arguments.push(self.sum()?);
        }
        self.close()?;
        self.push(Node::Call(name.to_string(), arguments))
    }
}

fn shorten(text: &str) -> String {
    text.trim().chars().take(24).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
