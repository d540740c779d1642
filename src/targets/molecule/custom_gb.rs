//! Any CustomGBForce, by evaluating its expressions.

use tch::{Kind, Tensor};

use super::distances::{Batch, total};
use super::expression::{Program, Scope};
use super::system::{CustomGb, Sum};
use crate::targets::Options;
use crate::targets::support::constant;

/// The force's expressions, compiled.
pub struct Programs {
    values: Vec<(Sum, Program)>,
    terms: Vec<(Sum, Program)>,
}

impl Programs {
    /// The error says which expression is not understood, and what in it.
    pub fn compile(force: &CustomGb) -> Result<Self, String> {
        let mut known = force.parameters.clone();
        let mut values = Vec::new();
        for (k, (name, sum, text)) in force.values.iter().enumerate() {
            if k > 0 && *sum != Sum::Atoms {
                return Err(format!("computed value '{name}' sums over pairs, which only the first may"));
            }
            let program =
                program(force, &known, *sum, text).map_err(|why| format!("computed value '{name}': {why}"))?;
            values.push((*sum, program));
            known.push(name.clone());
        }
        let term = |(k, (sum, text)): (usize, &(Sum, String))| {
            let program = program(force, &known, *sum, text).map_err(|why| format!("energy term {}: {why}", k + 1))?;
            Ok((*sum, program))
        };
        Ok(Self { values, terms: force.terms.iter().enumerate().map(term).collect::<Result<_, String>>()? })
    }
}

fn program(force: &CustomGb, known: &[String], sum: Sum, text: &str) -> Result<Program, String> {
    let inputs: Vec<String> = match sum {
        Sum::Atoms => known.to_vec(),
        _ => {
            let of = |atom: char| known.iter().map(move |name| format!("{name}{atom}"));
            std::iter::once("r".to_string()).chain(of('1')).chain(of('2')).collect()
        }
    };
    Program::compile(text, &Scope { inputs: &inputs, constants: &force.globals, tables: &force.tables })
}

/// The force on a batch.
pub struct CustomGbTerm {
    programs: Programs,
    parameters: Vec<Tensor>, // [A] each
    pairs: Tensor,           // [A, A] bool: not the diagonal
    allowed: Tensor,         // [A, A] bool: neither diagonal nor excluded
    ordered: Tensor,         // [A, A] bool: i < j
    cutoff: Option<f64>,
}

impl CustomGbTerm {
    pub fn new(force: &CustomGb, options: Options) -> Result<Self, String> {
        let atoms = force.particles.len();
        let column = |k: usize| {
            let values: Vec<f64> = force.particles.iter().map(|row| row[k]).collect();
            constant(&values, &[atoms as i64], options)
        };
        let mut allowed: Vec<f64> = (0..atoms * atoms).map(|p| f64::from(p / atoms != p % atoms)).collect();
        let pairs = constant(&allowed, &[atoms as i64, atoms as i64], options).ne(0.0);
        for [i, j] in &force.exclusions {
            allowed[i * atoms + j] = 0.0;
            allowed[j * atoms + i] = 0.0;
        }
        Ok(Self {
            programs: Programs::compile(force)?,
            parameters: (0..force.parameters.len()).map(column).collect(),
            allowed: constant(&allowed, &[atoms as i64, atoms as i64], options).ne(0.0),
            ordered: pairs.to_kind(Kind::Uint8).triu(1).ne(0.0),
            pairs,
            cutoff: force.cutoff,
        })
    }

    pub fn energy(&self, batch: &Batch) -> Tensor {
        let mut known: Vec<Tensor> = self.parameters.iter().map(|p| p.unsqueeze(0)).collect(); // [1, A]
        for (sum, program) in &self.programs.values {
            let value = match sum {
                Sum::Atoms => program.run(&known),
                _ => self.over_pairs(batch, &known, program, self.counted(*sum)).sum_dim_intlist(2, false, None),
            };
            known.push(value); // [N, A]
        }

        let shape = [batch.columns.size()[0], batch.columns.size()[2]];
        let nothing = Tensor::zeros([shape[0]], (Kind::Double, batch.columns.device()));
        self.programs.terms.iter().fold(nothing, |energy, (sum, program)| {
            let term = match sum {
                Sum::Atoms => program.run(&known).expand(shape, true),
                _ => {
                    let once = self.counted(*sum).logical_and(&self.ordered);
                    self.over_pairs(batch, &known, program, &once)
                }
            };
            energy + total(&term)
        })
    }

    fn counted(&self, sum: Sum) -> &Tensor {
        if sum == Sum::Pairs { &self.allowed } else { &self.pairs }
    }

    /// A pair expression, zero where it does not count: `[N, A, A]`.
    fn over_pairs(&self, batch: &Batch, known: &[Tensor], program: &Program, counted: &Tensor) -> Tensor {
        let r = batch.distances();
        let first = known.iter().map(|value| value.unsqueeze(2));
        let second = known.iter().map(|value| value.unsqueeze(1));
        let inputs: Vec<Tensor> = std::iter::once(r.plain.shallow_clone()).chain(first).chain(second).collect();
        let mut mask = counted.unsqueeze(0).expand_as(&r.square);
        if let Some(cutoff) = self.cutoff {
            mask = mask.logical_and(&r.square.lt(cutoff * cutoff));
        }
        let value = program.run(&inputs).expand_as(&r.square);
        value.where_self(&mask, &value.zeros_like())
    }
}
