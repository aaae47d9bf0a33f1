"""What an export hands back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sweep.export.variants import Variant


@dataclass(frozen=True)
class Parity:
    """Relative differences |file - torch| / torch over all pixels of the frames, under tflite-runtime.

    ``si_rmse`` is the file's against the network's depth: a frame's metric changes by no more.
    ``onnx_max_relative`` is the largest difference of the ONNX file under ONNX Runtime.
    """

    max_relative: float
    mean_relative: float
    si_rmse: float
    onnx_max_relative: float
    frames: int


@dataclass(frozen=True)
class VariantFile:
    """One variant's TFLite file.

    ``max_relative`` and ``mean_relative`` are over all pixels of the frames, |file - fp32 file| / fp32 file, and
    ``si_rmse`` is between the same two: a frame's metric changes by no more. ``operators`` counts them by name;
    ``seconds`` is what this file took beyond what all share.
    """

    tflite: Path
    sha256: str
    size_bytes: int
    operators: Mapping[str, int]
    max_relative: float
    mean_relative: float
    si_rmse: float
    seconds: float


@dataclass(frozen=True)
class ExportedFiles:
    """The files of an export.

    ``variants`` has every variant asked for; the fields before it describe the first of them, apart from ``onnx``
    and from ``parity``, which is between the network and its float32 files. ``operators`` counts them by name;
    ``seconds`` is the time that the whole export took.
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
    variants: Mapping[Variant, VariantFile] = field(default_factory=dict)
