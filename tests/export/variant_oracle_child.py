"""Converts graphs with TensorFlow's own converter, in float32, with float16 weights and with dynamic range.

    python variant_oracle_child.py WEIGHTS.npz FOLDER

Writes network_{fp32,fp16,dynamic_int8,int8}.tflite of a network of convolutions with those weights, and
operators.tflite and quantised_operators.tflite with operators of many kinds.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

IMAGE = (1, 24, 32, 3)
FEATURES = (1, 12, 16, 8)


def main(weights_path: str, folder: str) -> None:
    weights = {name: tf.constant(value) for name, value in np.load(weights_path).items()}

    def dense(x: Any, name: str) -> Any:
        kernel = tf.transpose(weights[f"{name}.weight"], (2, 3, 1, 0))
        return tf.nn.conv2d(x, kernel, 1, "VALID") + weights[f"{name}.bias"]

    def depthwise(x: Any, name: str) -> Any:
        kernel = tf.transpose(weights[f"{name}.weight"], (2, 3, 0, 1))
        return tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "VALID") + weights[f"{name}.bias"]

    def network(x: Any) -> Any:
        x = tf.nn.relu(dense(x, "0"))
        x = depthwise(x, "2")
        x = tf.nn.relu(dense(x, "3"))
        x = depthwise(x, "5")
        return dense(x, "6")

    for variant in ("fp32", "fp16", "dynamic_int8", "int8"):
        convert(network, IMAGE, variant, Path(folder, f"network_{variant}.tflite"))
    convert(operators, FEATURES, "fp32", Path(folder, "operators.tflite"))
    convert(operators, FEATURES, "int8", Path(folder, "quantised_operators.tflite"))


def operators(x: Any) -> Any:
    """A sum over what many operators make of the features."""
    half = tf.image.resize(x, (6, 8), "bilinear")
    parts = [
        tf.nn.gelu(x),
        tf.nn.elu(x),
        tf.nn.leaky_relu(x),
        tf.nn.softmax(x),
        tf.nn.avg_pool2d(x, 3, 1, "SAME"),
        tf.nn.max_pool2d(x, 3, 1, "SAME"),
        tf.image.resize(half, (12, 16), "nearest"),
        tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2), 2),
        tf.transpose(tf.transpose(x, (0, 2, 1, 3)), (0, 2, 1, 3)),
        tf.concat([x[..., :4], x[..., 4:] * 2], -1),
        tf.pad(x[:, 1:-1, 1:-1], ((0, 0), (1, 1), (1, 1), (0, 0))),
        tf.tile(tf.reduce_max(x, (1, 2), keepdims=True), (1, 12, 16, 1)),
        tf.exp(-tf.abs(x)) / (1 + x * x),
        tf.math.rsqrt(1 + tf.sqrt(tf.abs(x))),
        tf.minimum(tf.maximum(x, -1.0), tf.sigmoid(x) - tf.tanh(x)),
        tf.stack(tf.unstack(x, axis=3), axis=3),
        tf.gather(x, tf.range(8), axis=3),
        tf.where(x > 0, x, tf.floor(x)),
        tf.cumsum(x, axis=1),
        tf.reverse(x, (1,)),
    ]
    return tf.add_n(parts)


def convert(function: Any, shape: tuple[int, ...], variant: str, path: Path) -> None:
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if variant != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        random = np.random.default_rng(0)
        frames = [[random.normal(size=shape).astype(np.float32)] for _ in range(4)]
        converter.representative_dataset = lambda: iter(frames)
    path.write_bytes(converter.convert())


if __name__ == "__main__":
    main(*sys.argv[1:])
