"""Runs a TFLite file that keeps the contract, with NumPy and tflite-runtime alone."""

from pathlib import Path
from typing import cast

import numpy as np
import tflite_runtime
from numpy.typing import NDArray
from tflite_runtime.interpreter import Interpreter

from sweep.export.errors import RunnerError
from sweep.export.inspect import FRAME_SHAPE, check_contract


class TFLiteRunner:
    """A loaded file; XNNPACK is on, as it is by default in tflite-runtime. Not for several threads at once.

    Raises ContractError if the file breaks the contract, RunnerError if the runtime refuses it.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self._input_type = np.dtype(check_contract(path).input_type)
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise RunnerError(f"{path}: tflite-runtime {self.version} refuses the file: {error}") from error
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    @property
    def version(self) -> str:
        """The version of tflite-runtime."""
        return str(tflite_runtime.__version__)

    def predict(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """480x640x3 RGB, 0..255, to 480x640 depth in millimetres, as the file gives it."""
        if rgb.shape != FRAME_SHAPE[1:] or rgb.dtype != np.uint8:
            raise ValueError(f"frame is {rgb.shape} {rgb.dtype}, allowed is {FRAME_SHAPE[1:]} uint8")
        try:
            self._interpreter.set_tensor(self._input, rgb[np.newaxis].astype(self._input_type))
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise RunnerError(f"{self.path}: tflite-runtime {self.version} failed: {error}") from error
        depth_mm = self._interpreter.get_tensor(self._output)
        return cast(NDArray[np.float32], depth_mm.reshape(FRAME_SHAPE[1:3]))
