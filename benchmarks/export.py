"""Exporting side by side: this package's exporter, TensorFlow's converter and onnx2tf, each in a warm process.

    python benchmarks/export.py [--rounds 5] [--onnx2tf-python PYTHON]
    python benchmarks/export.py --sweep NAME_OR_FOLDER [--trials 3] [--python25 PYTHON]

The first form draws four candidates from the bundled space, one of 1.6 million parameters among them, and prints
for each converter and variant the seconds that it takes alone and with all others at once (the median over
rounds after a first one), operators, TRANSPOSEs among them, size, latency under tflite-runtime on one thread with
XNNPACK, the ratio of latencies to this package's file of the same variant, and the largest and mean relative
difference to the network on two frames.

The second form exports a finished sweep's best trials in every variant and prints, for each file, its si-RMSE on
the validation split, its size, and its latency under tflite-runtime and, with --python25, under the TFLite of
that Python's TensorFlow 2.5.0.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from export_converters import (
    COMPARED,
    ONNX2TF_ENVIRONMENT,
    Case,
    Conversion,
    Converter,
    Onnx2tf,
    Ours,
    TensorFlow,
    WarmChild,
    make_case,
    warm_child,
)
from export_figures import Latency, difference, latencies, operators, torch_depth_mm
from export_trained import print_trained

from sweep.data import Dataset, default_cache, prepare_dataset
from sweep.engine.exporting import calibration_frames
from sweep.export.variants import Variant
from sweep.models import build_network
from sweep.models.untrained import settle_batch_norm
from sweep.space import RandomSuggest, load_space

# The bundled space's candidates of these seeds: the first has 1.60 million parameters.
SEEDS = (998, 0, 1, 2)
CALIBRATION_FRAMES = 16
LATENCY_ROUNDS = 11


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="conversions after the first one")
    parser.add_argument("--onnx2tf-python", help="a Python that has onnx2tf")
    parser.add_argument("--sweep", help="a finished sweep, by name or folder")
    parser.add_argument("--trials", type=int, default=3, help="how many of its best trials")
    parser.add_argument("--python25", help="a Python that has TensorFlow 2.5.0")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = prepare_dataset(None, default_cache(), lambda *_: None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-")))
        stopwatch = stack.enter_context(warm_child(sys.executable, "latency.py", folder))
        if arguments.sweep:
            stopwatches = [stopwatch]
            if arguments.python25:
                stopwatches.append(stack.enter_context(warm_child(arguments.python25, "latency.py", folder)))
            print_trained(arguments.sweep, arguments.trials, dataset, folder, stopwatches)
            return
        converters: list[Converter] = [Ours()]
        child = stack.enter_context(warm_child(sys.executable, "tensorflow_converter.py", folder))
        converters.append(TensorFlow(child))
        if arguments.onnx2tf_python:
            child = stack.enter_context(warm_child(arguments.onnx2tf_python, "onnx2tf_converter.py", folder))
            converters.append(Onnx2tf(child))
        else:
            print(f"Without onnx2tf; it needs an environment of its own:\n{ONNX2TF_ENVIRONMENT}\n")
        for number, case in enumerate(cases(dataset, folder)):
            print_case(case, converters, folder / f"files-{number}", arguments.rounds, stopwatch)


def cases(dataset: Dataset, folder: Path) -> Iterator[Case]:
    """The candidates, untrained, with batch normalisation as real frames set it."""
    space, frames = load_space("mobilenetv3"), dataset.validation.rgb[:2]
    calibration = calibration_frames(dataset.train.rgb, CALIBRATION_FRAMES, 0)
    for seed in SEEDS:
        _, candidate = space.draw(RandomSuggest(seed))
        torch.manual_seed(0)
        network = build_network(candidate.architecture)
        settle_batch_norm(network, calibration)
        inner = "x".join(map(str, network.inner_size))
        size = sum(parameter.numel() for parameter in network.parameters())
        print(f"Candidate {candidate.hash}: {size:,} parameters, inner image {inner}, decoder ", end="")
        print(candidate.architecture.decoder.kind)
        yield make_case(network, np.asarray(frames), calibration, folder / candidate.hash)


def print_case(
    case: Case, converters: Sequence[Converter], folder: Path, rounds: int, stopwatch: WarmChild
) -> None:
    """One candidate's table."""
    together = timed(case, converters, COMPARED, folder / "all", rounds)
    files = {(c.name, v): together[c.name].files.get(v) for c in converters for v in COMPARED}
    alone = {
        (name, variant): conversion.seconds
        for variant in COMPARED
        for name, conversion in timed(
            case, [c for c in converters if variant in c.alone], (variant,), folder / variant, rounds
        ).items()
    }
    base = {path: files[converters[0].name, variant] for (_, variant), path in files.items() if path}
    latency = latencies(stopwatch, list(base), base, LATENCY_ROUNDS)
    expected_mm = torch_depth_mm(case.network, case.frames)
    print(
        f"{'converter':<16} {'variant':<13} {'alone s':>8} {'operators':>9} {'TRANSPOSE':>9} {'KB':>7} "
        f"{'ms':>7} {'ratio':>6} {'largest':>8} {'mean':>8}"
    )
    for (name, variant), path in files.items():
        seconds = alone.get((name, variant))
        print(f"{name:<16} {variant:<13} {'-' if seconds is None else f'{seconds:.2f}':>8} ", end="")
        print("no file" if path is None else row(path, case, expected_mm, latency[path]))
    for name, conversion in together.items():
        print(f"{name}: all four at once {conversion.seconds:.2f} s")
    print()


def row(path: Path, case: Case, expected_mm: np.ndarray, latency: Latency | str) -> str:
    """A file's figures."""
    counts = operators(path)
    start = f"{sum(counts.values()):>9} {counts.get('TRANSPOSE', 0):>9} {path.stat().st_size / 1024:>7.0f} "
    if isinstance(latency, str):
        return f"{start} tflite-runtime cannot run it: {latency}"
    error = difference(path, case.frames, expected_mm)
    return f"{start}{latency.ms:>7.2f} {latency.ratio:>6.2f} {error.largest:>8.1e} {error.mean:>8.1e}"


def timed(
    case: Case, converters: Sequence[Converter], variants: Sequence[Variant], folder: Path, rounds: int
) -> Mapping[str, Conversion]:
    """By converter: its last files, and the median seconds of its conversions after the first; in turn."""
    seconds: dict[str, list[float]] = {converter.name: [] for converter in converters}
    last: dict[str, Conversion] = {}
    for _ in range(1 + rounds):
        for converter in converters:
            last[converter.name] = converter.convert(case, variants, folder / converter.name)
            seconds[converter.name].append(last[converter.name].seconds)
    return {name: Conversion(statistics.median(seconds[name][1:]), last[name].files) for name in last}


if __name__ == "__main__":
    main()
