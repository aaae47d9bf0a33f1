"""TFLite files put together by hand, faults included: no exporter, no converter."""

from collections.abc import Callable, Sequence
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert.schema_py_generated import Model, ModelT

from sweep.export.graph import (
    Data,
    DepthEncoding,
    Options,
    Quantization,
    Shape,
    TensorType,
    TFLiteGraph,
    TFLiteOperator,
    TFLiteTensor,
)
from sweep.export.writer import write_tflite

SAME = 0
NONE, RELU = 0, 1  # fused activations


class Sketch:
    """Collects tensors and operators, in order; every method returns the name of what it adds."""

    def __init__(self) -> None:
        self.tensors: list[TFLiteTensor] = []
        self.operators: list[TFLiteOperator] = []

    def tensor(
        self,
        name: str,
        shape: Shape,
        type_: TensorType = "float32",
        quantization: Quantization | None = None,
    ) -> str:
        self.tensors.append(TFLiteTensor(name, shape, None, type_, quantization))
        return name

    def constant(self, name: str, data: Data, quantization: Quantization | None = None) -> str:
        self.tensors.append(TFLiteTensor(name, data.shape, data, data.dtype.name, quantization))
        return name

    def operator(
        self,
        builtin: str,
        inputs: Sequence[str],
        output: str,
        options: Options | None = None,
        version: int = 1,
    ) -> str:
        self.operators.append(TFLiteOperator(builtin, version, tuple(inputs), output, options))
        return output

    def shape(self, name: str) -> Shape:
        return next(tensor.shape for tensor in self.tensors if tensor.name == name)

    def add(self, left: str, right: str, output: str, activation: int = NONE) -> str:
        """left + right, of the left one's shape."""
        self.tensor(output, self.shape(left))
        options = Options("AddOptions", {"FusedActivationFunction": activation})
        return self.operator("ADD", (left, right), output, options)

    def unary(self, builtin: str, source: str, output: str) -> str:
        """A function of each element, without options."""
        self.tensor(output, self.shape(source))
        return self.operator(builtin, (source,), output)

    def convolution(self, source: str, weights: Data, output: str, activation: int = NONE) -> str:
        """A float convolution with stride 1, SAME padding and a bias of zeros; weights OHWI."""
        names = (
            self.constant(f"{output}/weights", weights),
            self.constant(f"{output}/bias", np.zeros(len(weights), np.float32)),
        )
        self.tensor(output, (*self.shape(source)[:3], len(weights)))
        return self.operator("CONV_2D", (source, *names), output, convolution_options(activation))

    def resize(self, source: str, size: tuple[int, int], output: str) -> str:
        """RESIZE_BILINEAR with half-pixel centres."""
        batch, _, _, channels = self.shape(source)
        self.tensor(output, (batch, *size, channels))
        options = Options("ResizeBilinearOptions", {"HalfPixelCenters": True})
        size_name = self.constant(f"{output}/size", np.array(size, np.int32))
        return self.operator("RESIZE_BILINEAR", (source, size_name), output, options, version=3)

    def graph(self, input_: str, output: str, encoding: DepthEncoding | None = None) -> TFLiteGraph:
        return TFLiteGraph(tuple(self.tensors), tuple(self.operators), input_, output, encoding)

    def write(
        self, path: Path, input_: str, output: str, change: Callable[[ModelT], object] | None = None
    ) -> Path:
        """The file, after a change of its content that the writer does not know."""
        data = write_tflite(self.graph(input_, output), "by hand")
        path.write_bytes(data if change is None else rewritten(data, change))
        return path


def convolution_options(activation: int = NONE) -> Options:
    """Stride 1, SAME padding."""
    fields = {"Padding": SAME, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    return Options("Conv2DOptions", fields | {"FusedActivationFunction": activation})


def rewritten(data: bytes, change: Callable[[ModelT], object]) -> bytes:
    """The file after a change of its content: sound as a flatbuffer, whatever the change."""
    model = ModelT.InitFromObj(Model.GetRootAs(data))
    change(model)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def uint8_depth_graph(encoding: DepthEncoding | None, kind: TensorType = "uint8") -> TFLiteGraph:
    """1x480x640x3 to 1x480x640x1, both uint8 unless ``kind`` is another: a picture's red channel."""
    plain = Quantization((1.0,), (0,)) if kind == "uint8" else None
    sketch = Sketch()
    sketch.tensor("rgb", (1, 480, 640, 3), kind, plain)
    sketch.tensor("depth", (1, 480, 640, 1), kind, plain)
    begin = sketch.constant("begin", np.zeros(4, np.int32))
    size = sketch.constant("size", np.array([1, 480, 640, 1], np.int32))
    sketch.operator("SLICE", ("rgb", begin, size), "depth", Options("SliceOptions"))
    return sketch.graph("rgb", "depth", encoding)
