#!/usr/bin/env python3
"""What energies and forces of 1000 conformations cost with OpenMM, one conformation at a time from Python.

Usage: openmm_speed.py FOLDER [CONFORMATIONS] [REPEAT]   (needs the package openmm)

FOLDER holds system.xml and topology.pdb. Prints one JSON object: CPU and wall milliseconds of the CPU platform with
two threads, the cheapest of REPEAT passes after one that warms up. `molecule bench` runs this script.
"""

import json
import os
import resource
import sys
import time

import numpy as np
import openmm
from openmm import Context, Platform, VerletIntegrator, XmlSerializer, app, unit


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def energies_and_forces(context, positions):
    """Reduced energies and forces as numpy arrays."""
    kt = 8.314462618e-3 * 300
    energies, forces = [], []
    for x in positions:
        context.setPositions(x)
        state = context.getState(getEnergy=True, getForces=True)
        energies.append(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / kt)
        newtons = state.getForces(asNumpy=True)
        forces.append(newtons.value_in_unit(unit.kilojoule_per_mole / unit.nanometer) / kt)
    return np.array(energies), np.stack(forces)


def main():
    folder = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    repeat = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with open(os.path.join(folder, "system.xml")) as file:
        system = XmlSerializer.deserialize(file.read())
    start = app.PDBFile(os.path.join(folder, "topology.pdb")).getPositions(asNumpy=True)
    start = start.value_in_unit(unit.nanometer).reshape(1, -1)
    # The conformations that `molecule bench` makes.
    noise = 0.01 * np.sin(7.13 * np.arange(count * start.shape[1])).reshape(count, -1)
    positions = (start + noise).reshape(count, -1, 3)

    platform = Platform.getPlatformByName("CPU")
    context = Context(system, VerletIntegrator(0.001), platform, {"Threads": "2"})
    best = (float("inf"), float("inf"))
    for k in range(repeat + 1):
        wall, cpu = time.perf_counter(), cpu_seconds()
        energies, forces = energies_and_forces(context, positions)
        assert np.isfinite(energies).all() and np.isfinite(forces).all()
        if k > 0:
            best = (min(best[0], cpu_seconds() - cpu), min(best[1], time.perf_counter() - wall))
    cpu_ms, wall_ms = (1e6 * seconds / count for seconds in best)
    print(json.dumps({"version": openmm.__version__, "threads": 2, "cpu_ms": cpu_ms, "wall_ms": wall_ms}))


if __name__ == "__main__":
    main()
