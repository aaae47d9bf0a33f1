"""SIGKILLs of the driver at random moments of a sweep, each followed by `sweep resume`: is anything lost or twice?

    python benchmarks/kills.py [--kills 100] [--trials 50] [--seed 0] [--spread 4] [--ray-address HOST:PORT]

A real sweep of tiny networks on random images, with a farm of one simulated device that outlives the driver. The
driver is killed --kills times: four times in five at a moment within --spread seconds after it took the journal
up, else while it starts. Then it is left in peace until the sweep is finished, and the journal, MLflow and an
Optuna study are compared. Prints a table; the exit status is 1 if they disagree or anything is lost or doubled.
With --ray-address a Ray cluster that is running already is used, which makes restarts cheaper.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from farm_process import CoordinatorProcess

from sweep.lifecycle import Event, SweepState, TrialState, read_journal, read_state
from sweep.lifecycle.events import AttemptEnded, EpochTrained, SweepResumed, TrialCompleted, TrialProposed
from sweep.tracking.readers import disagreements

NAME = "killed"
TRAIN, VALIDATION = 8, 2
LOOK_S = 0.01
START_S = 300.0
"""A driver that has not taken up the journal by then is stuck."""

SPACE = """
name: kills
architecture:
  input: {{height: 64, width: 64, resize: {{choose: [bilinear, pooled]}}}}
  encoder:
    kind: mobilenetv3
    width: {{choose: [0.25, 0.5]}}
    stem_activation: {{choose: [relu, hard_swish]}}
    stage1:
      {{depth: 1, kernel: 3, expansion: {{choose: [1, 2]}}, squeeze_excite: false, activation: relu}}
    stage2: {{depth: 1, kernel: 3, expansion: 2, squeeze_excite: true, activation: hard_swish}}
    stop: {{kind: stride_8}}
  decoder: {{kind: add, width: 8, upsampling: nearest}}
  output: {{stride: 4, upsampling: bilinear}}
recipe:
  optimizer: {{kind: adam}}
  learning_rate: {{float: [1e-3, 1e-2], log: true}}
  schedule: {{kind: cosine, warmup: 0.1}}
  loss: {{silog: 1, silog_lambda: 0.85, gradient: 0.1, l1: 0}}
  augmentation: {{flip: true, crop: {{kind: none}}, colour: 0}}
  batch_size: 4
target: {{threads: 1, delegate: xnnpack}}
budget: {{trials: {trials}, max_epochs: 2}}
rungs: {{epochs: [1, 2], reduction_factor: 3}}
sampler: {{kind: tpe}}
finalists: {{top: 2, rounds: 2}}
keep: 3
"""


@dataclass(frozen=True)
class Setting:
    """Where and how the sweep runs."""

    root: Path
    trials: int
    seed: int
    farm: str
    ray_address: str | None

    @property
    def runs(self) -> Path:
        """The folder of sweeps."""
        return self.root / "runs"

    @property
    def sweep(self) -> Path:
        """The sweep's folder."""
        return self.runs / NAME

    @property
    def mlflow_uri(self) -> str:
        """The MLflow store."""
        return f"sqlite:///{self.runs / 'mlflow.db'}"

    @property
    def optuna_url(self) -> str:
        """The Optuna storage."""
        return f"sqlite:///{self.root / 'optuna.db'}"


@dataclass
class Tally:
    """What the kills hit: the last record before each, by its name."""

    kills: int = 0
    after: Counter[str] = field(default_factory=Counter)


def main() -> int:
    """Kill, resume, compare, and print the table."""
    asked = arguments()
    with tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-") as folder:
        root = Path(folder)
        write_images(root / "data")
        (root / "space.yaml").write_text(SPACE.format(trials=asked.trials))
        with farm(root) as address:
            setting = Setting(root, asked.trials, asked.seed, address, asked.ray_address)
            started = time.monotonic()
            tally = kill_repeatedly(setting, asked.kills, asked.spread)
            finish(setting)
            wall_s = time.monotonic() - started
        return print_figures(setting, tally, wall_s)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spread", type=float, default=4.0, help="seconds")
    parser.add_argument("--ray-address")
    return parser.parse_args()


def write_images(folder: Path) -> None:
    """Random smooth images with a depth of their own."""
    rng = np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("validation", VALIDATION)):
        for kind in ("rgb", "depth"):
            (folder / split / kind).mkdir(parents=True)
        for index in range(count):
            coarse = rng.uniform(0, 1, (6, 8, 4)).astype(np.float32)
            smooth = np.clip(cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC), 0, 1)
            rgb, depth_mm = np.uint8(255 * smooth[..., :3]), np.uint16(1000 + 9000 * smooth[..., 3])
            cv2.imwrite(str(folder / split / "rgb" / f"{index}.png"), rgb)
            cv2.imwrite(str(folder / split / "depth" / f"{index}.png"), depth_mm)


@contextmanager
def farm(root: Path) -> Iterator[str]:
    """A coordinator and a device that answers at once; the address."""
    program = Path(__file__).with_name("simulated_device.py")
    with CoordinatorProcess(root) as coordinator:
        device = subprocess.Popen([sys.executable, str(program), "--farm", coordinator.address])
        try:
            yield coordinator.address
        finally:
            device.kill()
            device.wait()


def kill_repeatedly(setting: Setting, kills: int, spread_s: float) -> Tally:
    """Start or resume the sweep so many times, and kill it each time unless it has ended by itself."""
    rng = random.Random(setting.seed)
    tally = Tally()
    start_s = 10.0
    for _ in range(kills):
        started = time.monotonic()
        records = count_records(setting)
        with driver(setting) as process:
            if rng.random() < 0.2:
                pause(process, rng.uniform(0, start_s))
            elif await_record(process, setting, records):
                start_s = time.monotonic() - started
                pause(process, rng.uniform(0, spread_s))
            if process.poll() is not None:
                break
            process.kill()
        tally.kills += 1
        tally.after[last_record(setting)] += 1
        print(
            f"kill {tally.kills} after {last_record(setting)}, {count_records(setting)} records", flush=True
        )
    return tally


@contextmanager
def driver(setting: Setting) -> Iterator[subprocess.Popen[bytes]]:
    """``sweep run``, or ``sweep resume`` once there is something to resume; gone when the block ends."""
    command = [sys.executable, "-m", "sweep", *sweep_command(setting)]
    with (setting.root / "output.log").open("ab") as log:
        environment = {**os.environ, "DEPTH_SWEEP_CACHE": str(setting.root / "cache")}
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def sweep_command(setting: Setting) -> list[str]:
    """What is typed."""
    ray = [] if setting.ray_address is None else ["--ray-address", setting.ray_address]
    where = ["--runs", str(setting.runs), *ray]
    if count_records(setting):
        return ["resume", NAME, *where]
    options = {
        "--name": NAME,
        "--data": setting.root / "data",
        "--farm": setting.farm,
        "--seed": setting.seed,
        "--optuna-storage": setting.optuna_url,
    }
    given = [str(part) for option in options.items() for part in option]
    return ["run", str(setting.root / "space.yaml"), *given, *where]


def finish(setting: Setting) -> None:
    """Resume and leave it in peace."""
    with driver(setting) as process:
        if process.wait() != 0:
            raise SystemExit((setting.root / "output.log").read_text()[-4000:])


def await_record(process: subprocess.Popen[bytes], setting: Setting, before: int) -> bool:
    """Wait for a further record; False if the process ended without one."""
    deadline = time.monotonic() + START_S
    while count_records(setting) <= before:
        if process.poll() is not None:
            return False
        if time.monotonic() > deadline:
            raise SystemExit(f"no record in {START_S:g} s; see the end of its output:\n{tail(setting)}")
        time.sleep(LOOK_S)  # the journal belongs to another process: there is nothing to wait on
    return True


def pause(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Let the process work for so long, or until it ends."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def count_records(setting: Setting) -> int:
    """Whole lines of the journal."""
    return len(lines(setting))


def last_record(setting: Setting) -> str:
    """The kind of the journal's last record."""
    if not lines(setting):
        return "nothing"
    return type(read_journal(setting.sweep)[-1].event).__name__


def lines(setting: Setting) -> list[bytes]:
    """The journal's whole lines."""
    try:
        return (setting.sweep / "journal.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def tail(setting: Setting) -> str:
    """The end of what the drivers printed."""
    return (setting.root / "output.log").read_text()[-2000:]


def print_figures(setting: Setting, tally: Tally, wall_s: float) -> int:
    """The figures as a table; 1 if anything is not as it must be."""
    events = [record.event for record in read_journal(setting.sweep)]
    state = read_state(setting.sweep)
    wrong = disagreements(setting.sweep, setting.mlflow_uri, setting.optuna_url)
    doubled = repeated(events)
    lost = setting.trials - state.tried
    rows = [
        ("kills", str(tally.kills)),
        ("resumes recorded", str(sum(isinstance(event, SweepResumed) for event in events))),
        ("trials wanted, tried, lost", f"{setting.trials}, {state.tried}, {lost}"),
        ("trials by state", by_state(state)),
        ("epochs trained", str(sum(isinstance(event, EpochTrained) for event in events))),
        ("attempts by end", by_outcome(events)),
        ("trials, epochs or completions twice", str(doubled)),
        ("unfinished trials", str(len(state.unfinished))),
        ("disagreements of journal, MLflow and Optuna", str(len(wrong))),
        ("wall time", f"{wall_s / 60:.1f} min"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    print("kills by the last record before:", ", ".join(f"{k} {n}" for k, n in tally.after.most_common()))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    failed = state.in_state(TrialState.FAILED)
    for trial in failed:
        print(f"trial {trial.number} failed: {trial.reason}")
    return int(bool(wrong or doubled or lost or failed or state.unfinished))


def repeated(events: Sequence[Event]) -> int:
    """How many things happened more than once that may happen once."""
    once: Counter[tuple[object, ...]] = Counter()
    for event in events:
        match event:
            case TrialProposed() | TrialCompleted():
                once[type(event), event.trial] += 1
            case EpochTrained():
                once[EpochTrained, event.trial, event.epoch] += 1
    return sum(count - 1 for count in once.values())


def by_state(state: SweepState) -> str:
    """How many trials ended how."""
    counted = Counter(trial.state.value for trial in state.trials.values())
    return ", ".join(f"{count} {name}" for name, count in counted.most_common())


def by_outcome(events: Sequence[Event]) -> str:
    """How many attempts ended how; those that a kill cut short leave no record of it."""
    counted = Counter(event.outcome for event in events if isinstance(event, AttemptEnded))
    return ", ".join(f"{count} {name}" for name, count in counted.most_common())


if __name__ == "__main__":
    sys.exit(main())
