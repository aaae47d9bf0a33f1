"""The default sweep on this machine, from nothing: how long each part took and what came out.

    python benchmarks/default_run.py

Runs `sweep run search_spaces/mobilenetv3.yaml` in a fresh folder with a fresh cache, so that the demo data are
rendered and MLflow's database is made, and reads the figures from the journal and from what the command printed.
Takes up to ten minutes.
"""

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sweep.engine.identity import installed_versions
from sweep.lifecycle import TrialState, read_journal, replay
from sweep.lifecycle.events import TrialCompleted, TrialProposed


def main() -> None:
    """Run the sweep and print a table of figures."""
    with tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-") as folder:
        runs = Path(folder) / "runs"
        started = time.time()
        command = [
            sys.executable,
            "-m",
            "sweep",
            "run",
            "mobilenetv3",
            "--runs",
            str(runs),
            "--name",
            "default",
        ]
        environment = {**os.environ, "DEPTH_SWEEP_CACHE": str(Path(folder) / "cache")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        wall_s = time.time() - started
        print_figures(runs / "default", started, wall_s, done.stdout)


def print_figures(directory: Path, started: float, wall_s: float, output: str) -> None:
    """The figures as a table, after a line about the machine."""
    records = read_journal(directory)
    state = replay((record.time, record.event) for record in records)
    ready = next(record.time for record in records if isinstance(record.event, TrialProposed))
    first = next(record.time for record in records if isinstance(record.event, TrialCompleted))
    own = re.search(r"Our own time: (\d+) ms a trial; inside libraries: (.*)\.", output)
    margins = re.findall(
        r"(best constant depth|mean depth per pixel) +([\d.]+) +trial \d+ is (\d+%) lower", output
    )
    rows = [
        ("whole run, data included", f"{wall_s:.0f} s"),
        ("start of Ray, demo data, farm", f"{ready - started:.0f} s"),
        ("first full-fidelity trial, from data ready", f"{first - ready:.0f} s"),
        ("trials", str(len(state.trials))),
        ("trials at full fidelity", str(len(state.in_state(TrialState.COMPLETE)))),
        ("best si-RMSE", f"{state.best.completion.metrics['si_rmse']:.4f}" if state.best else "none"),
        *((f"si-RMSE of {name}", f"{value} (best trial {margin} lower)") for name, value, margin in margins),
        ("our own time per trial", f"{own[1]} ms" if own else "not printed"),
        ("inside libraries", own[2] if own else "not printed"),
    ]
    versions = ", ".join(f"{name} {number}" for name, number in installed_versions().items())
    print(
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}; {versions}"
    )
    for name, value in rows:
        print(f"{name:<45} {value}")


if __name__ == "__main__":
    main()
