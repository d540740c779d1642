#!/usr/bin/env python3
"""Nanoseconds a day of OpenMM's LangevinMiddle, one molecule, beside those of `md bench`, which runs this script.

Usage: openmm_md_speed.py SYSTEM.xml TOPOLOGY.pdb [STEPS] [STEP_FS]   (needs the package openmm)

Prints a JSON array with a row for each of the platforms Reference, CPU with one thread and CPU with two.
"""

import json
import resource
import sys
import time

from openmm import Context, LangevinMiddleIntegrator, Platform, XmlSerializer, app, unit


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(system, positions, platform, properties, steps, step_fs):
    """Median wall and CPU milliseconds of a step, over ten stretches after one that warms up."""
    integrator = LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, step_fs * unit.femtosecond)
    context = Context(system, integrator, Platform.getPlatformByName(platform), properties)
    context.setPositions(positions)
    context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
    times = []
    for _ in range(11):
        wall, cpu = time.perf_counter(), cpu_seconds()
        integrator.step(steps // 10)
        context.getState(getEnergy=True)
        times.append((time.perf_counter() - wall, cpu_seconds() - cpu))
    middle = lambda values: 1e3 * sorted(values)[5] / (steps // 10)
    return middle([t[0] for t in times[1:]]), middle([t[1] for t in times[1:]])


def main():
    with open(sys.argv[1]) as file:
        system = XmlSerializer.deserialize(file.read())
    positions = app.PDBFile(sys.argv[2]).positions
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    step_fs = float(sys.argv[4]) if len(sys.argv) > 4 else 1.0
    rows = []
    for platform, properties in [("Reference", {}), ("CPU", {"Threads": "1"}), ("CPU", {"Threads": "2"})]:
        wall, cpu = measure(system, positions, platform, properties, steps, step_fs)
        name = platform + "".join(f", threads: {value}" for value in properties.values())
        ns_per_day = 1e-6 * step_fs * 86400e3 / wall
        rows.append({"platform": name, "wall_ms_per_step": wall, "cpu_ms_per_step": cpu, "ns_per_day": ns_per_day})
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
