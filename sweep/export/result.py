"""What an export hands back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Parity:
    """Relative differences |file - torch| / torch over all pixels of the frames, under tflite-runtime.

    ``onnx_max_relative`` is the same for the ONNX file under ONNX Runtime.
    """

    max_relative: float
    mean_relative: float
    onnx_max_relative: float
    frames: int


@dataclass(frozen=True)
class ExportedFiles:
    """The two files of an export; everything but ``onnx`` describes the TFLite file.

    ``operators`` counts them by name; ``seconds`` is the time that the whole export took.
    """

    tflite: Path
    onnx: Path
    sha256: str
    size_bytes: int
    parameters: int
    multiply_adds: int
    operators: Mapping[str, int]
    parity: Parity
    seconds: float
