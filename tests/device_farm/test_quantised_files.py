"""Files with integer and float16 arithmetic are checked and measured like any other."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from tflite_runtime.interpreter import Interpreter

from device_farm.model_files.model_check import RefusedModel, check_model
from device_farm.model_files.operator_profile import operators, patched, prefix_patches
from device_farm.types import Target
from sweep.export.graph import Options, Quantization, TensorType, TFLiteGraph, TFLiteOperator, TFLiteTensor
from sweep.export.writer import write_tflite

SHAPE = (1, 24, 32, 3)
PIXELS = Quantization((1.0,), (-128,))  # of int8: RGB 0 to 255
RAW_PIXELS = Quantization((1.0,), (0,))  # the same of uint8
FEATURES = Quantization((2.0,), (5,))
CONVOLUTION = Options(
    "Conv2DOptions", {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
)


def integer_convolution() -> tuple[list[TFLiteTensor], TFLiteOperator]:
    """3x3, four channels with a scale each; reads ``codes`` and writes ``features``."""
    rng = np.random.default_rng(3)
    weights = rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    scales = (0.001, 0.002, 0.004, 0.003)
    bias = rng.integers(-5000, 5000, 4).astype(np.int32)
    tensors = [
        TFLiteTensor("weights", weights.shape, weights, "int8", Quantization(scales, (0,) * 4, axis=0)),
        TFLiteTensor("bias", (4,), bias, "int32", Quantization(scales, (0,) * 4, axis=0)),
        TFLiteTensor("features", (*SHAPE[:3], 4), None, "int8", FEATURES),
    ]
    return tensors, TFLiteOperator("CONV_2D", 3, ("codes", "weights", "bias"), "features", CONVOLUTION)


def quantised_file(ends: TensorType) -> bytes:
    """Ends of that type, an int8 convolution between them."""
    tensors, convolution = integer_convolution()
    if ends == "int8":
        codes = TFLiteTensor("codes", SHAPE, None, "int8", PIXELS)
        graph = TFLiteGraph((codes, *tensors), (convolution,), "codes", "features")
        return write_tflite(graph, "int8 throughout")
    quantised = ends == "uint8"
    tensors += [
        TFLiteTensor("rgb", SHAPE, None, ends, RAW_PIXELS if quantised else None),
        TFLiteTensor("codes", SHAPE, None, "int8", PIXELS),
        TFLiteTensor("out", (*SHAPE[:3], 4), None, ends, Quantization((2.0,), (133,)) if quantised else None),
    ]
    before = TFLiteOperator("QUANTIZE", 2 if quantised else 1, ("rgb",), "codes", None)
    after = (
        TFLiteOperator("QUANTIZE", 2, ("features",), "out", None)
        if quantised
        else TFLiteOperator("DEQUANTIZE", 2, ("features",), "out", None)
    )
    return write_tflite(
        TFLiteGraph(tuple(tensors), (before, convolution, after), "rgb", "out"), "int8 inside"
    )


def half_precision_file() -> bytes:
    """Weights stored as float16, unpacked before use."""
    weights = np.random.default_rng(4).normal(size=(4, 3, 3, 3)).astype(np.float16)
    tensors = (
        TFLiteTensor("rgb", SHAPE),
        TFLiteTensor("half", weights.shape, weights, "float16"),
        TFLiteTensor("weights", weights.shape),
        TFLiteTensor("bias", (4,), np.ones(4, np.float32)),
        TFLiteTensor("out", (*SHAPE[:3], 4)),
    )
    unpack = TFLiteOperator("DEQUANTIZE", 3, ("half",), "weights", None)
    convolve = TFLiteOperator("CONV_2D", 1, ("rgb", "weights", "bias"), "out", CONVOLUTION)
    return write_tflite(TFLiteGraph(tensors, (unpack, convolve), "rgb", "out"), "float16 weights")


FILES: dict[str, Callable[[], bytes]] = {
    "float32 ends": lambda: quantised_file("float32"),
    "uint8 ends": lambda: quantised_file("uint8"),
    "int8 ends": lambda: quantised_file("int8"),
    "float16 weights": half_precision_file,
}


@pytest.fixture(params=FILES)
def quantised(request: pytest.FixtureRequest) -> bytes:
    return FILES[request.param]()


def fed_pixels() -> np.ndarray:
    """What the runner feeds: bytes of a frozen stream, in the input's shape."""
    stream = np.frombuffer(np.random.RandomState(20220823).bytes(65521), np.uint8)
    return np.resize(stream, SHAPE)


def run(model: bytes, *, delegates: bool) -> np.ndarray:
    """The file's output for those bytes, which an int8 input takes as signed ones."""
    from tflite_runtime.interpreter import OpResolverType

    kinds = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kinds)
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    pixels = fed_pixels()
    values = pixels.view(np.int8) if details["dtype"] == np.int8 else pixels.astype(details["dtype"])
    interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def expected_features() -> np.ndarray:
    """The convolution of pixels in float64, as real numbers."""
    tensors, _ = integer_convolution()
    weights, bias = (tensor.data.astype(np.float64) for tensor in tensors[:2])
    scales = np.array(tensors[0].quantization.scales)
    padded = np.pad(fed_pixels().astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("nhwcij,oijc->nhwo", windows, weights) * scales + bias * scales


def test_the_check_takes_them(quantised: bytes) -> None:
    check_model(quantised)


def test_a_cut_one_is_refused(quantised: bytes) -> None:
    with pytest.raises(RefusedModel, match="damaged"):
        check_model(quantised[: len(quantised) * 2 // 3])


@pytest.mark.parametrize("ends", ["float32", "uint8"])
def test_the_file_computes_what_its_codes_stand_for(ends: TensorType) -> None:
    features = run(quantised_file(ends), delegates=False).astype(np.float64)
    found = (features - 133) * 2.0 if ends == "uint8" else features
    exact = np.clip(expected_features(), (-128 - 5) * 2.0, (127 - 5) * 2.0)
    assert np.abs(found - exact).max() <= 1.0 + 1e-9  # half a step of 2.0
    assert len(np.unique(found)) > 100  # neither all the same nor all at an end


@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_they_are_measured_on_pixels_and_put_out_what_the_interpreter_does(
    client, quick, quantised: bytes, delegate: str
) -> None:
    found = client.measure(quantised, Target({}, "tflite-2.14.0", 1, delegate), quick)
    assert found.model_sha256 == hashlib.sha256(quantised).hexdigest()
    assert found.latency_ms > 0
    output = run(quantised, delegates=delegate == "xnnpack")
    assert found.evidence["output_sha256"] == hashlib.sha256(output.tobytes()).hexdigest()


def test_their_operators_are_timed(client, quick, quantised: bytes) -> None:
    names = [one.name for one in operators(quantised)]
    found = client.measure(quantised, Target({}, "tflite-2.14.0", 1, "none"), quick, profile_operators=True)
    assert "operators_unknown" not in found.evidence
    assert [one.name for one in found.operators] == names


def test_each_prefix_of_one_runs(quantised: bytes) -> None:
    for patches in prefix_patches(quantised):
        prefix = patched(quantised, patches)
        check_model(prefix)
        assert run(prefix, delegates=False).size > 0
