"""The reference model: the shipped file is what its program writes, and computes what its layers say."""

import os
import subprocess

import numpy as np
import pytest
import tflite
from tflite_runtime.interpreter import Interpreter, OpResolverType

from device_farm.worker.reference import (
    INPUT_SHAPE,
    Addition,
    Constant,
    Convolution,
    layers,
    reference_bytes,
    reference_path,
)


def array(constant: Constant) -> np.ndarray:
    """The values as the file holds them, rounded to float32."""
    return np.array(constant.values, np.float32).reshape(constant.shape).astype(np.float64)


def convolve(image: np.ndarray, layer: Convolution) -> np.ndarray:
    """The definition of a 3x3 convolution with TensorFlow's SAME padding, in float64; ``image`` is HWC."""
    size, stride = image.shape[0], layer.stride
    outputs = -(-size // stride)
    missing = (outputs - 1) * stride + 3 - size
    first = missing // 2
    padded = np.pad(image, ((first, missing - first), (first, missing - first), (0, 0)))
    formula = "hwi,oi->hwo" if layer.kind == "full" else "hwi,oi->hwi"
    weights = array(layer.weights)
    found = array(layer.bias) + sum(
        np.einsum(
            formula,
            padded[row : row + outputs * stride : stride, column : column + outputs * stride : stride],
            weights[:, row, column],
        )
        for row in range(3)
        for column in range(3)
    )
    return np.clip(found, 0, 6) if layer.relu6 else found


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 255, INPUT_SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def expected(picture) -> np.ndarray:
    tensors = [picture[0].astype(np.float64)]
    for layer in layers():
        if isinstance(layer, Addition):
            tensors.append(tensors[layer.left] + tensors[layer.right])
        else:
            tensors.append(convolve(tensors[layer.source], layer))
    return tensors[-1][np.newaxis]


def test_the_shipped_file_is_what_its_program_writes():
    assert reference_path().read_bytes() == reference_bytes()


@pytest.mark.parametrize("resolver", [OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES])
def test_the_file_computes_what_its_layers_say(picture, expected, resolver):
    interpreter = Interpreter(
        model_path=str(reference_path()), num_threads=1, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert expected.std() > 1  # neither dead nor saturated
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.tflite25
def test_the_oldest_runtime_computes_the_same(picture, expected, tmp_path):
    np.save(tmp_path / "picture.npy", picture)
    script = (
        "import sys, numpy, tensorflow as tf\n"
        "interpreter = tf.lite.Interpreter(model_path=sys.argv[1], num_threads=1)\n"
        "interpreter.allocate_tensors()\n"
        "interpreter.set_tensor(interpreter.get_input_details()[0]['index'], numpy.load(sys.argv[2]))\n"
        "interpreter.invoke()\n"
        "found = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])\n"
        "numpy.save(sys.argv[3], found)\n"
    )
    python, folder = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"], tmp_path
    files = (reference_path(), folder / "picture.npy", folder / "found.npy")
    subprocess.run([python, "-c", script, *map(str, files)], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(folder / "found.npy"), expected, rtol=1e-4, atol=1e-4)


def test_the_file_is_small_and_of_operators_of_version_1():
    data = reference_path().read_bytes()
    assert len(data) <= 100_000
    model = tflite.Model.GetRootAs(data)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    kinds = tflite.BuiltinOperator
    assert [(code.BuiltinCode(), code.Version()) for code in codes] == [
        (kinds.CONV_2D, 1),
        (kinds.DEPTHWISE_CONV_2D, 1),
        (kinds.ADD, 1),
    ]


def test_every_constant_is_aligned_for_the_kernels():
    data = reference_path().read_bytes()
    model = tflite.Model.GetRootAs(data)
    buffers = [model.Buffers(index) for index in range(1, model.BuffersLength())]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers]
    assert starts
    assert [start % 16 for start in starts] == [0] * len(starts)
