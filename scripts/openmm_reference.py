#!/usr/bin/env python3
"""Energies and forces of OpenMM's Reference platform as a test fixture, and the System they belong to.

Usage: openmm_reference.py NAME SOLVENT TOPOLOGY.pdb POINTS.safetensors     (needs openmm 8.6.1, numpy, safetensors)

Writes assets/molecules/NAME/ (amber14-all with implicit/SOLVENT.xml, cut-off 2 nm) and tests/fixtures/molecular/
NAME.safetensors at the `positions` of POINTS, as described in that folder's README.
"""

import pathlib
import shutil
import sys

import numpy
from openmm import Context, Platform, VerletIntegrator, XmlSerializer, app, unit
from safetensors.numpy import load_file, save_file

ENERGY, FORCE = unit.kilojoule_per_mole, unit.kilojoule_per_mole / unit.nanometer


def evaluate(system, points):
    forces = system.getForces()
    for group, force in enumerate(forces):
        force.setForceGroup(group)
    context = Context(system, VerletIntegrator(0.001), Platform.getPlatformByName("Reference"))
    found = {"energy": [], "energy_terms": [], "forces": []}
    for x in points:
        context.setPositions(x)
        state = context.getState(getEnergy=True, getForces=True)
        found["energy"].append(state.getPotentialEnergy().value_in_unit(ENERGY))
        found["forces"].append(state.getForces(asNumpy=True).value_in_unit(FORCE))
        terms = [context.getState(getEnergy=True, groups={g}) for g in range(len(forces))]
        found["energy_terms"].append([term.getPotentialEnergy().value_in_unit(ENERGY) for term in terms])
    return {name: numpy.array(values) for name, values in found.items()}


def main():
    name, solvent, pdb, points = sys.argv[1:]
    points = load_file(points)["positions"].astype(numpy.float64)
    field = app.ForceField("amber14-all.xml", f"implicit/{solvent}.xml")
    topology = app.PDBFile(pdb).topology
    cutoff = dict(nonbondedMethod=app.CutoffNonPeriodic, nonbondedCutoff=2 * unit.nanometer)
    system = field.createSystem(topology, constraints=None, **cutoff)
    folder = pathlib.Path("assets/molecules") / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "system.xml").write_text(XmlSerializer.serialize(system))
    shutil.copy(pdb, folder / "topology.pdb")
    tensors = {"positions": points, **evaluate(system, points)}
    save_file(tensors, f"tests/fixtures/molecular/{name}.safetensors")


main()
