"""The integer TFLite graph under construction, and what its operators' rules share."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sweep.export.graph import (
    DepthEncoding,
    Options,
    Quantization,
    TensorType,
    TFLiteGraph,
    TFLiteOperator,
    TFLiteTensor,
)
from sweep.export.quantization.calibration import Calibration
from sweep.export.quantization.ranges import Range, asymmetric, quantize


class IntegerGraph:
    """Collects tensors and operators while the operators of a float graph are translated in order.

    A tensor keeps its name in the form in which it is computed: float32, int8 or uint8. Other forms are made
    where an operator first asks for them, by QUANTIZE or DEQUANTIZE.

    ``quantizations`` are those of the int8 forms.
    """

    def __init__(
        self, graph: TFLiteGraph, calibration: Calibration, quantizations: Mapping[str, Quantization]
    ) -> None:
        self.source = graph
        self.calibration = calibration
        self.quantizations = quantizations
        self.tensors: dict[str, TFLiteTensor] = {}
        self.operators: list[TFLiteOperator] = []

    def declare(
        self, name: str, type_: TensorType = "float32", quantization: Quantization | None = None
    ) -> None:
        """Declare an activation of the float graph, in the form in which it is computed."""
        shape = self.source.tensor(name).shape
        self.tensors[name] = TFLiteTensor(name, shape, type=type_, quantization=quantization)

    def constant(self, tensor: TFLiteTensor) -> str:
        """Declare a constant; returns its name."""
        self.tensors[tensor.name] = tensor
        return tensor.name

    def as_is(self, name: str) -> str:
        """A constant that no quantisation touches: a size, a shape, axes."""
        return self.constant(self.source.tensor(name))

    def is_constant(self, name: str) -> bool:
        """Whether the float graph's tensor of that name is one."""
        return self.source.tensor(name).data is not None

    def as_float(self, name: str) -> str:
        """The float32 form of a tensor."""
        if self.is_constant(name):
            return self.as_is(name)
        if self.tensors[name].type == "float32":
            return name
        return self.converted(name, f"{name}/float32", "float32", None)

    def as_int8(self, name: str, wanted: Quantization | None = None) -> str:
        """The int8 form of a tensor, quantised as ``wanted``, or as the tensor itself is by default."""
        if self.is_constant(name):
            return self._int8_constant(name, wanted)
        own = self.quantizations[name]
        wanted = wanted or own
        if self.tensors[name].type == "int8" and wanted == own:
            return name
        suffix = "int8" if wanted == own else f"int8/{wanted.scales[0]!r}/{wanted.zero_points[0]}"
        return self.converted(name, f"{name}/{suffix}", "int8", wanted)

    def _int8_constant(self, name: str, wanted: Quantization | None) -> str:
        tensor = self.source.tensor(name)
        data = np.asarray(tensor.data, np.float32)
        quantization = wanted or asymmetric(Range(float(data.min()), float(data.max())))
        codes = quantize(data, quantization)
        return self.constant(replace(tensor, data=codes, type="int8", quantization=quantization))

    def converted(self, name: str, output: str, type_: TensorType, quantization: Quantization | None) -> str:
        """Another form of a tensor under a name of its own, which is returned; made only once."""
        if output in self.tensors:
            return output
        found = self.tensors[name]
        self.tensors[output] = TFLiteTensor(output, found.shape, type=type_, quantization=quantization)
        builtin, table = (
            ("DEQUANTIZE", "DequantizeOptions") if type_ == "float32" else ("QUANTIZE", "QuantizeOptions")
        )
        version = 2 if found.type == "int8" else 1
        self.operators.append(TFLiteOperator(builtin, version, (name,), output, Options(table)))
        return output

    def keep_float(self, operator: TFLiteOperator) -> None:
        """Append an operator as it is in the float graph."""
        inputs = tuple(self.as_float(name) for name in operator.inputs)
        self.declare(operator.output)
        self.operators.append(replace(operator, inputs=inputs))

    def on_uint8(self, operator: TFLiteOperator, source: str) -> None:
        """Append an operator that passes on the codes of ``source``, a uint8 tensor; others are constants.

        Such operators have taken uint8 since their first version.
        """
        inputs = (source, *(self.as_is(name) for name in operator.inputs[1:]))
        self.declare(operator.output, "uint8", self.tensors[source].quantization)
        self.operators.append(replace(operator, inputs=inputs))

    def on_int8(self, operator: TFLiteOperator, inputs: tuple[str, ...], version: int) -> None:
        """Append the int8 form of an operator."""
        self.declare(operator.output, "int8", self.quantizations[operator.output])
        self.operators.append(replace(operator, inputs=inputs, version=version))

    def finished(self, encoding: DepthEncoding | None = None) -> TFLiteGraph:
        """The whole graph; without an encoding its output is float32."""
        output = self.source.output if encoding else self.as_float(self.source.output)
        return TFLiteGraph(
            tuple(self.tensors.values()), tuple(self.operators), self.source.input, output, encoding
        )
