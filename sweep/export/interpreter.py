"""Runs a TFLite file that keeps the contract, with NumPy and tflite-runtime alone, or another runtime at hand."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import tflite_runtime
from numpy.typing import NDArray
from tflite_runtime.interpreter import Interpreter, OpResolverType

from sweep.export.depth_encoding import decode
from sweep.export.errors import RunnerError
from sweep.export.inspect import FRAME_SHAPE, Contract, check_contract

Runtime = Literal["tflite-runtime", "tflite-runtime without XNNPACK", "LiteRT"]


def runtimes_at_hand() -> tuple[Runtime, ...]:
    """The runtimes that this environment can run files under; tflite-runtime as it comes is the first."""
    litert: tuple[Runtime, ...] = ("LiteRT",) if find_spec("ai_edge_litert") else ()
    return ("tflite-runtime", "tflite-runtime without XNNPACK", *litert)


def _with_builtin_kernels(path: str, threads: int) -> Interpreter:
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Interpreter(model_path=path, num_threads=threads, experimental_op_resolver_type=kernels)


def _under_litert(path: str, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter as LiteRTInterpreter

    return LiteRTInterpreter(model_path=path, num_threads=threads)


_OPEN: Final[Mapping[Runtime, Callable[[str, int], Any]]] = {
    "tflite-runtime": lambda path, threads: Interpreter(model_path=path, num_threads=threads),
    "tflite-runtime without XNNPACK": _with_builtin_kernels,
    "LiteRT": _under_litert,
}


class TFLiteRunner:
    """A loaded file; XNNPACK is on, as it is by default in tflite-runtime. Not for several threads at once.

    Raises ContractError if the file breaks the contract, RunnerError if the runtime refuses it.
    """

    def __init__(self, path: Path, threads: int = 1, runtime: Runtime = "tflite-runtime") -> None:
        self.path = path
        self._runtime = runtime.replace("tflite-runtime", f"tflite-runtime {self.version}")
        self.contract: Contract = check_contract(path)
        try:
            self._interpreter = _OPEN[runtime](str(path), threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise RunnerError(f"{path}: {self._runtime} refuses the file: {error}") from error
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    @property
    def version(self) -> str:
        """The version of tflite-runtime."""
        return str(tflite_runtime.__version__)

    def predict(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """480x640x3 RGB, 0..255, to 480x640 depth in millimetres, decoded if the file's output is encoded."""
        return output_depth_mm(self.predict_raw(rgb), self.contract)

    def predict_raw(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | NDArray[np.uint8]:
        """The same as the file gives it: millimetres, or the codes of its depth encoding."""
        if rgb.shape != FRAME_SHAPE[1:] or rgb.dtype != np.uint8:
            raise ValueError(f"frame is {rgb.shape} {rgb.dtype}, allowed is {FRAME_SHAPE[1:]} uint8")
        try:
            frame = rgb[np.newaxis].astype(self.contract.input_type)
            self._interpreter.set_tensor(self._input, frame)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise RunnerError(f"{self.path}: {self._runtime} failed: {error}") from error
        depth = self._interpreter.get_tensor(self._output)
        return cast(NDArray[np.float32] | NDArray[np.uint8], depth.reshape(FRAME_SHAPE[1:3]))


def output_depth_mm(
    output: NDArray[np.float32] | NDArray[np.uint8], contract: Contract
) -> NDArray[np.float32]:
    """Depth in millimetres, in the output's shape, from what a file with that contract put out."""
    if contract.depth_encoding is None:
        return cast(NDArray[np.float32], output)
    return decode(cast(NDArray[np.uint8], output), contract.depth_encoding)
