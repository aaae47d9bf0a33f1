"""Builds graphs in TensorFlow from given weights and converts them with TensorFlow's own converter.

    python keras_oracle_child.py WEIGHTS.npz FOLDER

Writes block.tflite and tail.tflite, written from the papers' definitions and not from our code.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


def main(weights_path: str, folder: str) -> None:
    weights = {name: tf.constant(value) for name, value in np.load(weights_path).items()}

    def normed(x: Any, name: str) -> Any:
        mean, variance = weights[f"{name}.norm.running_mean"], weights[f"{name}.norm.running_var"]
        scale, offset = weights[f"{name}.norm.weight"], weights[f"{name}.norm.bias"]
        return tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-3)

    def pointwise(x: Any, name: str) -> Any:
        return tf.nn.conv2d(x, tf.transpose(weights[name], (2, 3, 1, 0)), 1, "SAME")

    def hard_swish(x: Any) -> Any:
        return x * tf.nn.relu6(x + 3.0) * (1 / 6)

    def block(x: Any) -> Any:
        hidden = hard_swish(normed(pointwise(x, "expand.conv.weight"), "expand"))
        kernel = tf.transpose(weights["depthwise.conv.weight"], (2, 3, 0, 1))
        hidden = tf.nn.depthwise_conv2d(hidden, kernel, (1, 2, 2, 1), "SAME")
        hidden = hard_swish(normed(hidden, "depthwise"))
        squeezed = tf.reduce_mean(hidden, (1, 2), keepdims=True)
        squeezed = pointwise(squeezed, "squeeze_excite.reduce.weight") + weights["squeeze_excite.reduce.bias"]
        gate = pointwise(tf.nn.relu(squeezed), "squeeze_excite.expand.weight")
        gate = tf.nn.relu6(gate + weights["squeeze_excite.expand.bias"]) / 6
        return normed(pointwise(hidden * gate, "project.conv.weight"), "project")

    def tail(x: Any) -> Any:
        depth_mm = 1000 * tf.exp(tf.clip_by_value(x, np.log(0.1), np.log(100.0)))
        return tf.image.resize(depth_mm, (480, 640), "bilinear")

    convert(block, (1, 16, 20, 8), Path(folder, "block.tflite"))
    convert(tail, (1, 12, 16, 1), Path(folder, "tail.tflite"))


def convert(function: Any, shape: tuple[int, ...], path: Path) -> None:
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())


if __name__ == "__main__":
    main(*sys.argv[1:])
