"""Torch to ONNX to TFLite, with a parity check; and what the project does with TFLite files.

Importing this package loads neither torch, ONNX nor TensorFlow: the judge needs only the interpreter.
"""

from sweep.export.errors import (
    ContractError,
    ExportError,
    ParityError,
    RunnerError,
    UnsupportedOperatorError,
)
from sweep.export.inspect import Contract, ModelInfo, check_contract, inspect_model
from sweep.export.pipeline import export_network
from sweep.export.result import ExportedFiles, Parity

__all__ = [
    "Contract",
    "ContractError",
    "ExportError",
    "ExportedFiles",
    "ModelInfo",
    "Parity",
    "ParityError",
    "RunnerError",
    "UnsupportedOperatorError",
    "check_contract",
    "export_network",
    "inspect_model",
]
