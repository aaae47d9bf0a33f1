"""Writes TFLite files of all kinds with TensorFlow's converter.

    python tensorflow_files_child.py FOLDER

Random weights; what matters is what the converter makes of them.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

layers = tf.keras.layers


def network(blocks: int, size: int) -> Any:
    """Residual blocks with depthwise convolutions, then an upsampling."""
    image = tf.keras.Input((size, size, 3), batch_size=1)
    x = image
    for _ in range(blocks):
        y = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
        x = layers.Add()([layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(y)), y])
    return tf.keras.Model(image, layers.Conv2D(1, 1)(layers.UpSampling2D(interpolation="bilinear")(x)))


class Functions(tf.Module):
    """Several signatures: a constant, dynamic shapes and two outputs, a variable, control flow."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(np.eye(4, dtype=np.float32))
        self.total = tf.Variable(np.zeros((1, 4), np.float32))

    @tf.function(input_signature=[tf.TensorSpec((1, 4))])
    def project(self, x: Any) -> dict[str, Any]:
        return {"y": x @ self.weights}

    @tf.function(input_signature=[tf.TensorSpec((None, 4)), tf.TensorSpec((None, 4))])
    def combine(self, x: Any, y: Any) -> dict[str, Any]:
        return {"sum": tf.reduce_sum(x * y), "half": tf.split(x, 2, axis=1)[0]}

    @tf.function(input_signature=[tf.TensorSpec((1, 4))])
    def add(self, x: Any) -> dict[str, Any]:
        self.total.assign_add(x)
        return {"total": self.total.read_value()}

    @tf.function(input_signature=[tf.TensorSpec((), tf.int32)])
    def count(self, limit: Any) -> dict[str, Any]:
        i = tf.constant(0)
        while i < limit:
            i += 2
        return {"count": tf.cond(i > 5, lambda: i * 2, lambda: i)}


@tf.function(input_signature=[tf.TensorSpec((2,), tf.int32)])
def words(indexes: Any) -> Any:
    """Looks up constant strings."""
    return tf.gather(tf.constant(["near", "far", ""]), indexes)


def images() -> Iterator[list[np.ndarray]]:
    """What full quantisation calibrates with."""
    yield [np.random.default_rng(0).random((1, 32, 32, 3), np.float32)]


def dynamic(converter: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def float16(converter: Any) -> None:
    dynamic(converter)
    converter.target_spec.supported_types = [tf.float16]


def int8(converter: Any) -> None:
    dynamic(converter)
    converter.representative_dataset = images
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8


def buffers_behind(converter: Any) -> None:
    converter._experimental_use_buffer_offset = True


def resources(converter: Any) -> None:
    converter.experimental_enable_resource_variables = True


def main(folder: Path) -> None:
    def write(name: str, converter: Any, setting: Callable[[Any], None] = lambda _: None) -> None:
        setting(converter)
        (folder / f"{name}.tflite").write_bytes(converter.convert())

    from_keras, from_saved = (
        tf.lite.TFLiteConverter.from_keras_model,
        tf.lite.TFLiteConverter.from_saved_model,
    )
    small = network(blocks=2, size=32)
    write("float", from_keras(small))
    for setting in (dynamic, float16, int8, buffers_behind):
        write(setting.__name__, from_keras(small), setting)
    write("hundred", from_keras(network(blocks=33, size=16)))
    steps = tf.keras.Input((8, 4), batch_size=1)
    write("lstm", from_keras(tf.keras.Model(steps, layers.LSTM(6)(steps))))
    write("strings", tf.lite.TFLiteConverter.from_concrete_functions([words.get_concrete_function()]))
    functions = Functions()
    keys = ("project", "combine", "add", "count")
    saved = str(folder / "saved_model")
    tf.saved_model.save(functions, saved, signatures={key: getattr(functions, key) for key in keys})
    write("signatures", from_saved(saved, signature_keys=list(keys)), resources)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
