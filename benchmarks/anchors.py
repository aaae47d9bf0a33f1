"""Our farm beside TVM's RPC tracker and labgrid's coordinator: the same cycles and the same faults, in one run.

    python -m venv TVM && TVM/bin/pip install apache-tvm tornado cloudpickle psutil
    python -m venv LABGRID && LABGRID/bin/pip install labgrid
    python benchmarks/anchors.py --tvm-python TVM/bin/python --labgrid-python LABGRID/bin/python

All of it runs on loopback, each system with two devices. TVM's devices are its own RPC
servers; ours are simulated ones, which download each file and answer at once, so that no interpreter's time is in
the cycles; labgrid's are exporters with a network port. Rounds alternate between the systems. Four minutes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from anchor_faults import (
    Experiment,
    client_killed,
    device_hangs,
    device_killed,
    model_process_killed,
    server_restarts,
    stranger,
)
from anchor_systems import Farm, Labgrid, Place, System, Tvm
from farm_process import machine, print_table

LARGE_BYTES = 6 * 2**20
ROUNDS, ROUND_S = 3, 1.5
CYCLES_WITHIN_S = 60.0
AT_ONCE = 7  # experiments, which mostly wait
LABGRID_PLACES = 8

Make = Callable[[Place], System]


@dataclass(frozen=True)
class Case:
    """One thing that is measured in each round."""

    title: str
    system: str
    clients: int
    size: int


CASES = (
    Case("6 MB, 1 client", "TVM", 1, LARGE_BYTES),
    Case("6 MB, 1 client", "device-farm", 1, LARGE_BYTES),
    Case("6 MB, 8 clients", "TVM", 8, LARGE_BYTES),
    Case("6 MB, 8 clients", "device-farm", 8, LARGE_BYTES),
    Case("get and release, 1 client", "TVM", 1, 0),
    Case("get and release, 1 client", "labgrid", 1, 0),
    Case("get and release, 1 client", "labgrid, no exporter", 1, 0),
    Case("get and release, 1 client", "device-farm", 1, 1024),
    Case("get and release, 8 clients", "labgrid, no exporter", 8, 0),
    Case("get and release, 8 clients", "device-farm", 8, 1024),
)


def main() -> None:
    """Measure the cycles, try the faults, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tvm-python", required=True)
    parser.add_argument("--labgrid-python", required=True)
    parser.add_argument("--only", choices=["cycles", "faults"])
    options = parser.parse_args()
    pythons = {"TVM": options.tvm_python, "labgrid": options.labgrid_python, "device-farm": sys.executable}
    print(machine())
    print(f"apache-tvm {version(options.tvm_python, 'apache-tvm')}, ", end="")
    print(f"labgrid {version(options.labgrid_python, 'labgrid')}\n")
    if options.only != "faults":
        print_table(cycle_rows(measure_cycles(pythons)))
        print()
    if options.only != "cycles":
        for row in try_faults(pythons):
            print("\n".join(row), end="\n\n")


def version(python: str, package: str) -> str:
    """A package's version in another environment."""
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


# Cycles


def measure_cycles(pythons: dict[str, str]) -> dict[Case, list[tuple[list[float], float]]]:
    """For each case and round: milliseconds of each cycle, and seconds of the round."""
    found: dict[Case, list[tuple[list[float], float]]] = {case: [] for case in CASES}
    with ExitStack() as stack:
        systems: dict[str, System] = {
            "TVM": Tvm(new_place(stack, pythons["TVM"])),
            "labgrid": Labgrid(new_place(stack, pythons["labgrid"])),
            "labgrid, no exporter": Labgrid(new_place(stack, pythons["labgrid"]), LABGRID_PLACES, bare=True),
            "device-farm": Farm(new_place(stack, pythons["device-farm"])),
        }
        for system in systems.values():
            system.start_server()
            for number in range(2):
                system.start_device(number)
        for _ in range(ROUNDS):
            for case in CASES:
                cycles = systems[case.system].start_cycles(ROUND_S, case.clients, case.size)
                answer = json.loads(cycles.need("{", CYCLES_WITHIN_S))
                found[case].append((answer["cycle_ms"], answer["seconds"]))
    return found


def cycle_rows(found: dict[Case, list[tuple[list[float], float]]]) -> list[Sequence[str]]:
    """A row for each case; the last column compares our rate with each neighbour's."""
    rates = {
        case: statistics.median(len(cycle_ms) / seconds for cycle_ms, seconds in rounds)
        for case, rounds in found.items()
    }
    rows: list[Sequence[str]] = [("cycle", "system", "median ms", "p95 ms", "cycles/s", "ours / theirs")]
    for case, rounds in found.items():
        times = [value for cycle_ms, _ in rounds for value in cycle_ms]
        ours = next(rates[own] for own in CASES if own.system == "device-farm" and own.title == case.title)
        ratio = "" if case.system == "device-farm" else f"{ours / rates[case]:.1f}"
        middle, high = statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1]
        rows.append((case.title, case.system, f"{middle:.1f}", f"{high:.1f}", f"{rates[case]:.1f}", ratio))
    return rows


# Faults


def try_faults(pythons: dict[str, str]) -> list[list[str]]:
    """Each experiment's title and, for each system, a line with what came of it."""
    all_systems: dict[str, Make] = {
        "TVM": Tvm,
        "labgrid": Labgrid,
        "device-farm": Farm,
    }
    with_workers: dict[str, Make] = {"TVM": Tvm, "device-farm": lambda place: Farm(place, real=True)}
    with_tls: dict[str, Make] = {**all_systems, "device-farm, --tls": lambda place: Farm(place, tls=True)}
    waiting = [
        (device_hangs, all_systems),
        (server_restarts, all_systems),
        (device_killed, all_systems),
        (client_killed, all_systems),
        (stranger, with_tls),
    ]
    # By itself: a real worker takes no measurement on a machine as busy as the others make it.
    measuring = [(model_process_killed, with_workers)]
    return try_together(waiting, pythons) + try_together(measuring, pythons)


def try_together(
    plan: Sequence[tuple[Experiment, dict[str, Make]]], pythons: dict[str, str]
) -> list[list[str]]:
    """Runs the experiments side by side; for each, its title and a line for each system."""
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def begin(experiment: Experiment, name: str, make: Make) -> Future[str]:
            return pool.submit(attempt, experiment, make, pythons[name.partition(",")[0]])

        begun = [
            (title_of(experiment), {name: begin(experiment, name, make) for name, make in makers.items()})
            for experiment, makers in plan
        ]
        return [[title, *(f"- {name}: {found[name].result()}" for name in found)] for title, found in begun]


def attempt(experiment: Experiment, make: Make, python: str) -> str:
    """One experiment on processes of its own."""
    with ExitStack() as stack:
        try:
            return experiment(make(new_place(stack, python)))
        except (RuntimeError, TimeoutError) as error:
            return f"the experiment failed: {error}"


def title_of(experiment: Experiment) -> str:
    """What an experiment does, as its docstring says."""
    return f"**{(experiment.__doc__ or '').strip()}**"


def new_place(stack: ExitStack, python: str) -> Place:
    """A place with a folder of its own, which is removed when the stack is closed."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="device-farm-benchmark-"))
    return Place(os.path.abspath(python), Path(folder), stack)


if __name__ == "__main__":
    main()
