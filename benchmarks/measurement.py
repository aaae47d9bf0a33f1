"""What a measurement by the farm costs, and whether its median is the one that a plain loop finds.

    python benchmarks/measurement.py [ROUNDS]

A farm of this machine measures an exported network, in turn with a plain loop over the same interpreter in this
process. Printed are

* what a job costs beyond the model's own invocations, for a file of 6 MB that the farm has not seen (sent up and
  fetched each time) and for one that it knows, with the start of the runner's process beside it;
* the ratio of the farm's median to the loop's, round by round;
* how many invocations an interval of 1 % takes, and the width that 50 and 1,000 invocations give.
"""

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from exclusion import first_candidate
from tflite_runtime import interpreter as tflite

from device_farm.client import FarmClient
from device_farm.local import LocalFarm
from device_farm.measuring.statistics import analyse
from device_farm.types import Measurement, MeasurementSettings, Target

FILE_BYTES = 6 * 1024 * 1024
TARGET = Target(threads=1, delegate="xnnpack")
SHORT = MeasurementSettings(
    interval_width=1.0, min_invocations=6, max_invocations=6, warmup_seconds=0.0, sampling_seconds=0.0
)
THOROUGH = MeasurementSettings(interval_width=0.01, sampling_seconds=10.0)
LOOP_WARMUPS, LOOP_INVOCATIONS = 50, 1000


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one job: all of it beyond the model's invocations, and the child's start within."""

    beyond_ms: float
    start_ms: float


def main() -> None:
    """Prints the three tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory(prefix="device-farm-benchmark-") as folder:
        model = export_first_candidate(Path(folder))
        with LocalFarm(Path(folder) / "farm") as farm, FarmClient(farm.address) as client:
            print(f"{platform.machine()}, Python {platform.python_version()}, {rounds} rounds\n")
            print_costs(client, model, rounds)
            print_agreement(client, model, rounds)


def export_first_candidate(folder: Path) -> bytes:
    """The bundled space's first candidate as a TFLite file, untrained."""
    from sweep.export import export_network
    from sweep.models import build_network

    frames = np.random.default_rng(0).integers(0, 256, (1, 480, 640, 3), dtype=np.uint8)
    network = build_network(first_candidate().architecture)
    return export_network(network, folder / "export", frames).tflite.read_bytes()


def print_costs(client: FarmClient, model: bytes, rounds: int) -> None:
    """Jobs with a new file each, and jobs with a file that the farm has, in turn."""
    known = padded(model, 0)
    cost(client, known)  # the first one warms up all that stays warm
    found: dict[str, list[Cost]] = {"a new file of 6 MB": [], "a file of 6 MB that the farm has": []}
    for index in range(rounds):
        found["a new file of 6 MB"].append(cost(client, padded(model, index + 1)))
        found["a file of 6 MB that the farm has"].append(cost(client, known))
    print(f"{'a job beyond its invocations':<36} {'all ms':>8} {'start ms':>9} {'rest ms':>8}")
    for name, costs in found.items():
        total, start = median(c.beyond_ms for c in costs), median(c.start_ms for c in costs)
        rest = median(c.beyond_ms - c.start_ms for c in costs)
        print(f"{name:<36} {total:>8.1f} {start:>9.1f} {rest:>8.1f}")
    print()


def padded(model: bytes, number: int) -> bytes:
    """The model as a file of 6 MB with contents of its own; what lies behind the flatbuffer is not read."""
    tail = np.random.default_rng(number).bytes(FILE_BYTES - len(model))
    return model + tail


def cost(client: FarmClient, model: bytes) -> Cost:
    began = time.perf_counter()
    found = client.measure(model, TARGET, SHORT, fresh=True)
    elapsed_ms = 1000 * (time.perf_counter() - began)
    start_ms = found.evidence["runner_start_ms"]
    assert isinstance(start_ms, float)
    return Cost(elapsed_ms - sum(found.samples_ms) - sum(found.warmup_ms), start_ms)


def print_agreement(client: FarmClient, model: bytes, rounds: int) -> None:
    """The farm's medians beside the loop's; the order changes from round to round."""
    measured: list[Measurement] = []
    looped: list[list[float]] = []
    for index in range(rounds):
        for turn in (index, index + 1):
            if turn % 2:
                measured.append(client.measure(model, TARGET, THOROUGH, fresh=True))
            else:
                looped.append(loop(model))
    ratios = [found.latency_ms / median(times) for found, times in zip(measured, looped, strict=True)]
    print(f"{'median latency':<36} {'ms':>8}")
    print(f"{'farm':<36} {median(found.latency_ms for found in measured):>8.4f}")
    print(f"{'plain loop':<36} {median(median(times) for times in looped):>8.4f}")
    print(
        f"{'farm / loop, median of rounds':<36} {median(ratios):>8.4f}  ({min(ratios):.3f} to {max(ratios):.3f})"
    )
    print()
    stopped = [found.stopped_by for found in measured]
    counts = sorted(len(found.samples_ms) for found in measured)
    print(f"{'invocations for 1 %':<36} {median(counts):>8.0f}  ({counts[0]} to {counts[-1]})")
    print(f"{'stopped by interval':<36} {stopped.count('interval'):>8}")
    print(f"{'unstable':<36} {sum(not found.stable for found in measured):>8}")
    for count in (50, LOOP_INVOCATIONS):
        widths = [100 * analyse(times[:count]).width for times in looped]
        print(f"{f'width of {count} invocations, %':<36} {median(widths):>8.2f}")


def loop(model: bytes) -> list[float]:
    """Times in milliseconds of invocations one after the other, as anybody would take them."""
    interpreter = tflite.Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        values = np.random.default_rng(0).uniform(0, 255, details["shape"]).astype(details["dtype"])
        interpreter.set_tensor(details["index"], values)
    for _ in range(LOOP_WARMUPS):
        interpreter.invoke()
    times_ms = []
    for _ in range(LOOP_INVOCATIONS):
        began = time.perf_counter()
        interpreter.invoke()
        times_ms.append(1000 * (time.perf_counter() - began))
    return times_ms


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    main()
