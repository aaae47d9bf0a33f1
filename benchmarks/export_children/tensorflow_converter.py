"""TensorFlow's own converter, from an NHWC graph that is spelled with TensorFlow's functions.

Serves {"graph": FILE.npz, "variants": [...], "calibration": FILE.npy, "output": FOLDER} with
{"seconds": S, "files": {variant: file}}. The graph is what ``export_converters.write_graph`` writes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from serving import serve

ACTIVATIONS = {0: tf.identity, 1: tf.nn.relu, 3: tf.nn.relu6}
PADDINGS = {0: "SAME", 1: "VALID"}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Convert the graph once for each variant."""
    with np.load(request["graph"]) as arrays:
        constants = dict(arrays)
    graph = json.loads(str(constants.pop("graph")))
    frames = np.load(request["calibration"]).astype(np.float32)
    started = time.perf_counter()
    module, function = as_function(graph, constants)
    files = {}
    for variant in request["variants"]:
        path = Path(request["output"], f"tensorflow_{variant}.tflite")
        path.write_bytes(convert(module, function, variant, frames))
        files[variant] = str(path)
    return {"seconds": time.perf_counter() - started, "files": files}


def as_function(graph: dict[str, Any], constants: Mapping[str, Any]) -> Any:
    """(module, concrete function) of the graph."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec(graph["shape"], tf.float32, name="rgb")])
    def compute(frames: Any) -> Any:
        values = {graph["input"]: frames, **constants}
        for operator in graph["operators"]:
            operands = [values[name] for name in operator["inputs"]]
            computed = OPERATORS[operator["builtin"]](operands, operator["options"])
            values[operator["output"]] = ACTIVATIONS[operator["options"].get("FusedActivationFunction", 0)](
                computed
            )
        return values[graph["output"]]

    module.compute = compute
    return module, compute.get_concrete_function()


def convert(module: Any, function: Any, variant: str, frames: Any) -> bytes:
    """One file, with float input and output."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)

    def representative_dataset() -> Iterator[list[Any]]:
        for frame in frames:
            yield [frame[np.newaxis]]

    if variant != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        converter.representative_dataset = representative_dataset
    return bytes(converter.convert())


def convolution(operands: list[Any], options: Mapping[str, Any]) -> Any:
    """CONV_2D: TFLite's weights are (outputs, height, width, inputs)."""
    features, weights, bias = operands
    strides = [options["StrideH"], options["StrideW"]]
    kernel = np.transpose(weights, (1, 2, 3, 0))
    return tf.nn.bias_add(tf.nn.conv2d(features, kernel, strides, PADDINGS[options["Padding"]]), bias)


def depthwise_convolution(operands: list[Any], options: Mapping[str, Any]) -> Any:
    """DEPTHWISE_CONV_2D: TFLite's weights are (1, height, width, outputs)."""
    features, weights, bias = operands
    strides = [1, options["StrideH"], options["StrideW"], 1]
    kernel = np.transpose(weights, (1, 2, 3, 0))
    return tf.nn.bias_add(
        tf.nn.depthwise_conv2d(features, kernel, strides, PADDINGS[options["Padding"]]), bias
    )


def hard_swish(operands: list[Any], _: Mapping[str, Any]) -> Any:
    """In the form that the converter recognises."""
    (features,) = operands
    return features * tf.nn.relu6(features + np.float32(3)) * np.float32(1 / 6)


OPERATORS: dict[str, Callable[[list[Any], Mapping[str, Any]], Any]] = {
    "ADD": lambda operands, _: operands[0] + operands[1],
    "CONCATENATION": lambda operands, options: tf.concat(operands, options["Axis"]),
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise_convolution,
    "EXP": lambda operands, _: tf.exp(operands[0]),
    "HARD_SWISH": hard_swish,
    "MAXIMUM": lambda operands, _: tf.maximum(*operands),
    "MEAN": lambda operands, _: tf.reduce_mean(operands[0], operands[1].tolist(), keepdims=True),
    "MINIMUM": lambda operands, _: tf.minimum(*operands),
    "MUL": lambda operands, _: operands[0] * operands[1],
    "RELU": lambda operands, _: tf.nn.relu(operands[0]),
    "RELU6": lambda operands, _: tf.nn.relu6(operands[0]),
    "RESHAPE": lambda operands, _: tf.reshape(operands[0], operands[1].tolist()),
    "RESIZE_BILINEAR": lambda operands, options: tf.raw_ops.ResizeBilinear(
        images=operands[0], size=operands[1], half_pixel_centers=options["HalfPixelCenters"]
    ),
    "RESIZE_NEAREST_NEIGHBOR": lambda operands, _: tf.raw_ops.ResizeNearestNeighbor(
        images=operands[0], size=operands[1]
    ),
}


if __name__ == "__main__":
    serve(answer)
