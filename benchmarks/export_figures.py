"""What is told of a TFLite file: operators, size, latency in turn with others, difference to the network."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from export_converters import WarmChild
from numpy.typing import NDArray
from tflite_runtime.interpreter import Interpreter

from sweep.export.inspect import inspect_model
from sweep.models import DepthNetwork


@dataclass(frozen=True)
class Difference:
    """|file - network| / network over all pixels of the frames."""

    largest: float
    mean: float


@dataclass(frozen=True)
class Latency:
    """Medians over rounds: the latency, and its ratio to the same round's of the file compared with."""

    ms: float
    ratio: float


def torch_depth_mm(network: DepthNetwork, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The network's depth (N, 480, 640) of frames (N, 480, 640, 3)."""
    with torch.no_grad():
        images = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).float()
        return network.depth_mm(images)[:, 0].double().numpy()


def difference(file: Path, frames: NDArray[np.uint8], expected_mm: NDArray[np.float64]) -> Difference:
    """Of a file with any input type and float output, under tflite-runtime."""
    interpreter = Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    source, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    relative = []
    for frame, expected in zip(frames, expected_mm, strict=True):
        interpreter.set_tensor(source["index"], frame[np.newaxis].astype(source["dtype"]))
        interpreter.invoke()
        found = interpreter.get_tensor(output["index"]).reshape(expected.shape).astype(np.float64)
        relative.append(np.abs(found - expected) / expected)
    return Difference(float(np.max(relative)), float(np.mean(relative)))


def operators(file: Path) -> Mapping[str, int]:
    """How often each operator occurs."""
    return inspect_model(file).operator_counts


def latencies(
    child: WarmChild, files: Sequence[Path], compared_with: Mapping[Path, Path], rounds: int
) -> dict[Path, Latency | str]:
    """Of all files in turn; for one that the runtime cannot run, why.

    ``compared_with`` maps a file to the one whose latency its ratio is taken to.
    """
    measured = child.ask({"files": [str(file) for file in files], "rounds": rounds})["ms"]
    found: dict[Path, Latency | str] = {}
    for file in files:
        times, base = measured[str(file)], measured[str(compared_with[file])]
        if isinstance(times, str):
            found[file] = times
            continue
        comparable = not isinstance(base, str)
        ratios = [mine / other for mine, other in zip(times, base, strict=True)] if comparable else []
        ratio = statistics.median(ratios) if ratios else float("nan")
        found[file] = Latency(statistics.median(times), ratio)
    return found
