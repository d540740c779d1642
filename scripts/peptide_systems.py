#!/usr/bin/env python3
"""Makes assets/peptides/SEQUENCE/{system.xml,topology.pdb}: peptides with charged ends under Amber ff14SB and OBC1.

Usage: peptide_systems.py OUT SEQUENCE [SEQUENCE ...]     (needs openmm, PeptideBuilder; made with 8.6.1 and 1.1.0)

The energy is that of PROSE (Tan et al., 2025): amber14-all, implicit/obc1, cut-off 2 nm, no constraints. Atoms come in the
order of Amber's library, which is that of the force field's residue templates.
"""

import io
import pathlib
import sys

import Bio.PDB
import PeptideBuilder
from openmm import LangevinMiddleIntegrator, LocalEnergyMinimizer, Context, Platform, XmlSerializer, app, unit


def heavy_atoms(sequence):
    """A chain of L residues with a terminal oxygen, as OpenMM reads it."""
    structure = PeptideBuilder.make_structure(sequence, [-120] * len(sequence), [140] * (len(sequence) - 1))
    PeptideBuilder.add_terminal_OXT(structure)
    text = io.StringIO()
    writer = Bio.PDB.PDBIO()
    writer.set_structure(structure)
    writer.save(text)
    return app.PDBFile(io.StringIO(text.getvalue()))


def with_hydrogens(pdb, field):
    model = app.Modeller(pdb.topology, pdb.positions)
    variants = ["HIE" if residue.name == "HIS" else None for residue in model.topology.residues()]
    model.addHydrogens(field, pH=7, variants=variants)
    return model


def in_library_order(model, field):
    """The same atoms in the order of the force field's templates."""
    positions = model.positions.value_in_unit(unit.nanometer)
    residues = list(model.topology.residues())
    topology, moved, order = app.Topology(), {}, []
    chain = topology.addChain("A")
    for i, residue in enumerate(residues):
        end = ("N" if i == 0 else "") + ("C" if i == len(residues) - 1 else "")
        name = {"HIS": "HIE"}.get(residue.name, residue.name)
        template = [atom.name for atom in field._templates[end + name].atoms]
        own = {atom.name: atom for atom in residue.atoms()}
        new = topology.addResidue(residue.name, chain, str(i + 1))
        for name in template:
            atom = own.pop(name if name in own else {"H1": "H"}[name])
            moved[atom] = topology.addAtom(atom.name, atom.element, new)
            order.append(atom.index)
        assert not own, own
    for a, b in model.topology.bonds():
        topology.addBond(moved[a], moved[b])
    return topology, [positions[k] for k in order] * unit.nanometer


def build(sequence, folder):
    field = app.ForceField("amber14-all.xml", "implicit/obc1.xml")
    topology, positions = in_library_order(with_hydrogens(heavy_atoms(sequence), field), field)
    system = field.createSystem(
        topology, nonbondedMethod=app.CutoffNonPeriodic, nonbondedCutoff=2 * unit.nanometer, constraints=None
    )
    integrator = LangevinMiddleIntegrator(310 * unit.kelvin, 1 / unit.picosecond, 1 * unit.femtosecond)
    context = Context(system, integrator, Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    LocalEnergyMinimizer.minimize(context)
    state = context.getState(getPositions=True, getEnergy=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "system.xml").write_text(XmlSerializer.serialize(system))
    with open(folder / "topology.pdb", "w") as file:
        app.PDBFile.writeFile(topology, state.getPositions(), file, keepIds=True)
    print(sequence, topology.getNumAtoms(), state.getPotentialEnergy())


for sequence in sys.argv[2:]:
    build(sequence, pathlib.Path(sys.argv[1]) / sequence)
