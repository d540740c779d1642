//! A molecule as flows know it: what it is made of, its tokens, and its energy where a force field is given.

use std::path::Path;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::bad_input;
use crate::flows::{Conditioning, FlowConfig};
use crate::targets::molecule::force_field::ForceField;
use crate::targets::molecule::peptide::{Peptide, Tokens};
use crate::targets::molecule::system::System;
use crate::targets::molecule::topology::Topology;
use crate::targets::molecule::{GAS_CONSTANT, agree};

/// A molecule, one row of conditioning, and its energy.
pub struct Subject {
    pub name: String,
    pub topology: Topology,
    pub conditioning: Conditioning,
    pub energy: Option<Energy>,
}

impl Subject {
    /// Errors: what a flow of that configuration cannot represent.
    pub fn new(name: &str, topology: Topology, config: &FlowConfig) -> Result<Self> {
        let conditioning = conditioning(&topology, config)?;
        Ok(Self { name: name.to_string(), topology, conditioning, energy: None })
    }

    /// Adds the energy of a System file; `scale` in nm, `temperature` in K.
    pub fn with_energy(mut self, system: &Path, scale: f64, temperature: f64) -> Result<Self> {
        let system = System::read(system)?;
        agree(&system, &self.topology)?;
        let field = ForceField::new(&system, (Kind::Double, Device::Cpu))?;
        self.energy = Some(Energy { field, scale, kt: GAS_CONSTANT * temperature });
        Ok(self)
    }

    pub fn atoms(&self) -> i64 {
        self.topology.atoms.len() as i64
    }
}

/// Tokens and orders of a topology as the network takes them.
fn conditioning(topology: &Topology, config: &FlowConfig) -> Result<Conditioning> {
    let row = |values: &[i64]| Tensor::from_slice(values).unsqueeze(0);
    let peptide = Peptide::of(topology)?;
    let Tokens { atom_type, aa_type, aa_pos, seq_len } = peptide.tokens();
    let orders = config.orders().iter().map(|key| Ok(row(&peptide.order(key)?))).collect::<Result<_>>()?;
    let conditioning = Conditioning {
        atom_type: row(&atom_type),
        aa_type: row(&aa_type),
        aa_pos: row(&aa_pos),
        seq_len: row(&[seq_len]),
        orders,
        mask: None,
    };
    conditioning.check(config).map_err(|error| bad_input!("{}: {error}", topology.source))?;
    Ok(conditioning)
}

/// A force field in units of kT, over coordinates in units of `scale`. Computed in f64 on the CPU.
pub struct Energy {
    field: ForceField,
    /// nm.
    pub scale: f64,
    /// kJ/mol.
    pub kt: f64,
}

impl Energy {
    /// `E / kT` of conformations `[N, A, 3]`, `[N]` in f64; not finite where atoms coincide.
    pub fn reduced(&self, x: &Tensor) -> Tensor {
        self.reduced_and_gradient(x).0
    }

    /// `E / kT`, `[N]`, and its gradient with respect to `x`, `[N, A, 3]`; both in f64.
    pub fn reduced_and_gradient(&self, x: &Tensor) -> (Tensor, Tensor) {
        let nm = x.detach().to_device(Device::Cpu).to_kind(Kind::Double).flatten(1, -1) * self.scale;
        let (energy, forces) = self.field.energy_and_forces(&nm);
        (energy / self.kt, (forces * (-self.scale / self.kt)).view(x.size().as_slice()))
    }
}
