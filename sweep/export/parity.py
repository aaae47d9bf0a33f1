"""Does the exported file compute what the network computes? Checked on real frames for every export."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto, helper
from tflite_runtime.interpreter import Interpreter

from sweep.export.differences import relative_difference, si_rmse_between
from sweep.export.errors import ParityError, RunnerError
from sweep.export.graph import TFLiteGraph
from sweep.export.interpreter import TFLiteRunner, runtimes_at_hand
from sweep.export.onnx_export import session_options
from sweep.export.result import Parity
from sweep.export.writer import write_tflite
from sweep.models import DepthNetwork

# A file may load and yet fail, or answer differently, now and then.
INVOCATIONS_PER_FRAME = 3

Frames = NDArray[np.uint8]
Depth = NDArray[np.float32]


def check_parity(
    network: DepthNetwork,
    model: ModelProto,
    graph: TFLiteGraph,
    tflite: Path,
    frames: Frames,
    tolerance: float,
) -> Parity:
    """Compare torch, ONNX Runtime and tflite-runtime on frames (N, 480, 640, 3).

    ``network`` is in evaluation mode on the CPU; ``graph`` is what the TFLite file was written from. Raises
    ParityError where a relative difference exceeds ``tolerance`` or is not finite, naming the first layer that
    diverges, or where the file answers the same frame differently.
    """
    expected_mm = torch_depth_mm(network, frames)
    onnx_error = relative_difference(onnx_depth_mm(model, frames), expected_mm)
    if not onnx_error.max() <= tolerance:
        raise ParityError(
            f"the ONNX model differs from the network by {onnx_error.max():.3g}{above(tolerance)}"
        )
    found_mm = tflite_depth_mm(tflite, frames)
    error = relative_difference(found_mm, expected_mm)
    if not error.max() <= tolerance:
        worst_frame = frames[int(error.max(axis=(1, 2)).argmax())]
        where = first_divergence(model, graph, worst_frame, tolerance)
        raise ParityError(
            f"the TFLite file differs from the network by {error.max():.3g}{above(tolerance)}; {where}"
        )
    check_other_runtimes(tflite, frames[0], found_mm[0], tolerance)
    return Parity(
        max_relative=float(error.max()),
        mean_relative=float(error.mean()),
        si_rmse=si_rmse_between(found_mm, expected_mm),
        onnx_max_relative=float(onnx_error.max()),
        frames=len(frames),
    )


def above(tolerance: float) -> str:
    """The end of a parity message."""
    return f" of the depth, allowed is {tolerance:.3g}"


def torch_depth_mm(network: DepthNetwork, frames: Frames) -> NDArray[np.float32]:
    """The network's own depth: (N, 480, 640)."""
    with torch.no_grad():
        depth_mm = network.depth_mm(torch.from_numpy(nchw(frames)))
    return np.asarray(depth_mm[:, 0].numpy())


def onnx_depth_mm(model: ModelProto, frames: Frames) -> NDArray[np.float32]:
    """The ONNX model's depth under ONNX Runtime: (N, 480, 640)."""
    return np.stack([outputs[model.graph.output[0].name][0, 0] for outputs in run_onnx(model, frames)])


def tflite_depth_mm(tflite: Path, frames: Frames) -> NDArray[np.float32]:
    """The file's depth under tflite-runtime: (N, 480, 640), the same at each of several invocations."""
    runner = TFLiteRunner(tflite)
    answers = [[runner.predict(frame) for _ in range(INVOCATIONS_PER_FRAME)] for frame in frames]
    for index, (first, *others) in enumerate(answers):
        if any(not np.array_equal(first, other, equal_nan=True) for other in others):
            raise ParityError(f"the TFLite file answers frame {index} differently from one time to the next")
    return np.stack([first for first, *_ in answers])


def check_other_runtimes(tflite: Path, frame: NDArray[np.uint8], expected_mm: Depth, allowed: float) -> None:
    """Invoke the file several times under every further runtime at hand.

    ``expected_mm`` (480, 640) is its depth under tflite-runtime. Raises ParityError where a runtime fails on it,
    answers differently from one time to the next, or has a mean relative difference above ``allowed``.
    """
    for runtime in runtimes_at_hand()[1:]:
        try:
            runner = TFLiteRunner(tflite, runtime=runtime)
            first, *others = (runner.predict(frame) for _ in range(INVOCATIONS_PER_FRAME))
        except RunnerError as error:
            raise ParityError(f"the TFLite file does not run under {runtime}: {error}") from error
        if any(not np.array_equal(first, other, equal_nan=True) for other in others):
            raise ParityError(
                f"the TFLite file answers differently from one time to the next under {runtime}"
            )
        off = float(relative_difference(first, expected_mm).mean())
        if not off <= allowed:
            raise ParityError(
                f"under {runtime} the TFLite file differs from itself by {off:.3g}{above(allowed)}"
            )


def nchw(frames: Frames) -> NDArray[np.float32]:
    """(N, H, W, 3) bytes to (N, 3, H, W) floats."""
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32)


def run_onnx(model: ModelProto, frames: Frames) -> Iterator[dict[str, NDArray[np.float32]]]:
    """The model's outputs by name, frame by frame."""
    options = session_options(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    for frame in frames:
        outputs = session.run(names, {session.get_inputs()[0].name: nchw(frame[np.newaxis])})
        yield dict(zip(names, outputs, strict=True))


def first_divergence(
    model: ModelProto, graph: TFLiteGraph, frame: NDArray[np.uint8], tolerance: float
) -> str:
    """Which layer of the file is the first whose output differs from the ONNX tensor of the same name.

    A layer's difference is the largest one over the largest magnitude of its output. Each layer is run as the
    output of a file that ends with it: the inner tensors of a whole one are overwritten or never made.
    """
    expected = all_tensors(model, frame)
    for index, operator in enumerate(graph.operators):
        if operator.output not in expected:
            continue
        truth = expected[operator.output].transpose(0, 2, 3, 1)
        operators = graph.operators[: index + 1]
        found = run_graph(replace(graph, operators=operators, output=operator.output), frame)
        difference = np.abs(found - truth).max() / max(float(np.abs(truth).max()), 1e-12)
        if not difference <= tolerance:
            name = operator.output
            return f"the first layer that diverges is {name!r}, by {difference:.3g} of its largest value"
    return "no single layer does"


def run_graph(graph: TFLiteGraph, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The graph's output for one frame under tflite-runtime."""
    interpreter = Interpreter(model_content=write_tflite(graph, ""), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame[np.newaxis].astype(np.float32))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def all_tensors(model: ModelProto, frame: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Every intermediate tensor of the model, in execution order."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(
        helper.make_empty_tensor_value_info(node.output[0]) for node in model.graph.node
    )
    (tensors,) = run_onnx(exposed, frame[np.newaxis])
    return tensors
