"""What values the tensors of a float network take on real frames.

The graph runs under tflite-runtime with every inner tensor shown as an output.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tflite_runtime.interpreter import Interpreter

from sweep.export.errors import ExportError
from sweep.export.graph import TFLiteGraph
from sweep.export.quantization.ranges import Range
from sweep.export.writer import write_tflite


@dataclass(frozen=True)
class Activation:
    """What one tensor held over all frames: its extremes, and the mean of each channel, (C,).

    ``channel_means`` None stands for unknown ones: no bias is corrected by them.
    """

    range: Range
    channel_means: NDArray[np.float64] | None = None


Calibration = Mapping[str, Activation]
"""The input's activation and that of every operator's output, by the tensor's name."""


def calibrate(graph: TFLiteGraph, inputs: NDArray[np.uint8] | NDArray[np.float32]) -> Calibration:
    """The activations of a float32 graph over inputs (N, ...), such as frames (N, 480, 640, 3) uint8.

    The range is that of all values. Sixteen frames or more of what the network was trained on make one that
    holds: with four, trained networks lost ten times as much accuracy to values beyond it. Ranges narrowed to
    the least squared error were no better once biases were corrected.

    Raises ExportError for a tensor with a value that is not finite.
    """
    activations = [graph.input, *(operator.output for operator in graph.operators)]
    collected = {name: Collected() for name in activations}
    for tensors in inner_tensors(graph, inputs, activations):
        for name, values in tensors.items():
            collected[name].add(values)
    return {name: collected[name].activation(name) for name in activations}


class Collected:
    """One tensor's extremes and means, frame by frame."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf
        self.means: list[NDArray[np.float64]] = []

    def add(self, values: NDArray[np.float32]) -> None:
        """Take a frame's values into account; channels are the last axis."""
        # The order of the operands lets a value that is not a number through to the end.
        self.low, self.high = np.minimum(values.min(), self.low), np.maximum(values.max(), self.high)
        self.means.append(values.reshape(-1, values.shape[-1]).mean(axis=0, dtype=np.float64))

    def activation(self, name: str) -> Activation:
        """The result."""
        if not np.isfinite((self.low, self.high)).all():
            raise ExportError(
                f"tensor {name!r} ranges from {self.low} to {self.high} on the calibration frames, allowed are "
                "finite values"
            )
        means: NDArray[np.float64] = np.mean(self.means, axis=0)
        return Activation(Range(float(self.low), float(self.high)), means)


def inner_tensors(
    graph: TFLiteGraph,
    inputs: NDArray[np.uint8] | NDArray[np.float32],
    names: Collection[str],
) -> Iterator[dict[str, NDArray[Any]]]:
    """The named tensors, the graph's input among them if it is named, for each input in turn.

    Runs under tflite-runtime on one thread. Tensors are of the type that the graph gives them.
    """
    shown = [name for name in names if name != graph.input]
    interpreter = Interpreter(model_content=write_tflite(graph, "", outputs=shown), num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    indices = [details["index"] for details in interpreter.get_output_details()]
    for values in inputs:
        fed = values[np.newaxis].astype(source["dtype"])
        interpreter.set_tensor(source["index"], fed)
        interpreter.invoke()
        found = (interpreter.get_tensor(index) for index in indices)
        tensors = dict(zip(shown, found, strict=True))
        yield tensors | {graph.input: fed} if graph.input in names else tensors
