"""What turns a network into TFLite files: this package's exporter, and others that run beside it."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sweep.export import export_network
from sweep.export.fusion import optimise
from sweep.export.graph import TFLiteGraph
from sweep.export.lowering import lower
from sweep.export.onnx_export import network_to_onnx, read_graph
from sweep.export.reference import QUIET
from sweep.export.variants import Variant
from sweep.models import DepthNetwork

CHILDREN = Path(__file__).with_name("export_children")
COMPARED: tuple[Variant, ...] = ("fp32", "fp16", "dynamic_int8", "int8")

ONNX2TF_ENVIRONMENT = """\
  python3.11 -m venv /tmp/onnx2tf
  /tmp/onnx2tf/bin/pip install onnx2tf==1.28.8 tensorflow-cpu==2.19.1 tf-keras==2.19.0 onnx==1.17.0 onnxruntime \\
      onnx-graphsurgeon onnxsim sng4onnx psutil requests ml-dtypes ai-edge-litert==1.2.0 'protobuf<6'
  python benchmarks/export.py --onnx2tf-python /tmp/onnx2tf/bin/python"""


@dataclass(frozen=True)
class Case:
    """What every converter is given.

    Attributes:
        network: in evaluation mode, on the CPU.
        graph: its float TFLite graph, as an ``.npz`` of `write_graph`.
        onnx: its ONNX file, 1x3x480x640 in.
        frames: (N, 480, 640, 3) uint8, what files are compared on.
        calibration: (M, 480, 640, 3) uint8, and the ``.npy`` with the same.
    """

    network: DepthNetwork
    graph: Path
    onnx: Path
    frames: NDArray[np.uint8]
    calibration: NDArray[np.uint8]
    calibration_file: Path


@dataclass(frozen=True)
class Conversion:
    """Files by variant, and the wall-clock seconds that making all of them took."""

    seconds: float
    files: Mapping[Variant, Path]


class Converter(Protocol):
    """Makes files of a case."""

    name: str
    #: What one conversion may be asked for, beside all variants at once.
    alone: tuple[Variant, ...]

    def convert(self, case: Case, variants: Sequence[Variant], folder: Path) -> Conversion:
        """Files of those variants in the folder, at least of those that the converter can make."""


class Ours:
    """This package's exporter, with all its checks: parity of every file on the case's frames among them."""

    name = "depth-sweep"
    alone = COMPARED

    def convert(self, case: Case, variants: Sequence[Variant], folder: Path) -> Conversion:
        started = time.perf_counter()
        exported = export_network(
            case.network, folder, case.frames, variants=variants, calibration=case.calibration
        )
        seconds = time.perf_counter() - started
        return Conversion(seconds, {variant: exported.variants[variant].tflite for variant in variants})


class TensorFlow:
    """TensorFlow's converter, from a graph in its own layout; how that is made of the network is not counted."""

    name = "TFLiteConverter"
    alone = COMPARED

    def __init__(self, child: "WarmChild") -> None:
        self._child = child

    def convert(self, case: Case, variants: Sequence[Variant], folder: Path) -> Conversion:
        return converted(self._child, {"graph": str(case.graph)}, case, variants, folder)


class Onnx2tf:
    """onnx2tf, from the ONNX file; how that is made is not counted. It cannot make less than fp32 and fp16."""

    name = "onnx2tf"
    alone: tuple[Variant, ...] = ("fp32",)

    def __init__(self, child: "WarmChild") -> None:
        self._child = child

    def convert(self, case: Case, variants: Sequence[Variant], folder: Path) -> Conversion:
        return converted(self._child, {"onnx": str(case.onnx)}, case, variants, folder)


def converted(
    child: "WarmChild", source: dict[str, str], case: Case, variants: Sequence[Variant], folder: Path
) -> Conversion:
    """A child's conversion; it takes the time itself."""
    folder.mkdir(parents=True, exist_ok=True)
    rest = {"variants": variants, "calibration": str(case.calibration_file), "output": str(folder)}
    reply = child.ask({**source, **rest})
    return Conversion(reply["seconds"], {variant: Path(path) for variant, path in reply["files"].items()})


class WarmChild:
    """A script of ``export_children`` under some Python; stays, with all that it has imported."""

    def __init__(self, python: str, script: str, folder: Path) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the child
        self._process = subprocess.Popen(
            [python, str(CHILDREN / script)],
            cwd=folder,
            env={**os.environ, **QUIET},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    @property
    def runtime(self) -> str:
        """The TFLite runtime of a child that takes latencies."""
        return str(self.ask({"files": [], "rounds": 0})["runtime"])

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The reply. Raises RuntimeError with the child's last words if it died instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        reply = self._process.stdout.readline()
        if not reply:
            self._process.wait()
            self._log.seek(0)
            last = self._log.read().decode(errors="replace").strip().splitlines()[-12:]
            raise RuntimeError("\n".join([f"{self._process.args} died; its last words:", *last]))
        return json.loads(reply)

    def close(self) -> None:
        """End the child."""
        self._process.kill()
        self._process.wait()


@contextmanager
def warm_child(python: str, script: str, folder: Path) -> Iterator[WarmChild]:
    """A child for as long as the context lasts."""
    child = WarmChild(python, script, folder)
    try:
        yield child
    finally:
        child.close()


def make_case(
    network: DepthNetwork, frames: NDArray[np.uint8], calibration: NDArray[np.uint8], folder: Path
) -> Case:
    """Write what converters read into the folder."""
    network.eval()
    folder.mkdir(parents=True, exist_ok=True)
    model = network_to_onnx(network)
    onnx, graph, frames_file = folder / "network.onnx", folder / "graph.npz", folder / "calibration.npy"
    onnx.write_bytes(model.SerializeToString())
    write_graph(lower(optimise(read_graph(model))), graph)
    np.save(frames_file, calibration)
    return Case(network, graph, onnx, frames, calibration, frames_file)


def write_graph(graph: TFLiteGraph, path: Path) -> None:
    """The float graph as an ``.npz``: constants by name, and "graph" as JSON."""
    operators = [
        {
            "builtin": operator.builtin,
            "inputs": operator.inputs,
            "output": operator.output,
            "options": dict(operator.options.fields) if operator.options else {},
        }
        for operator in graph.operators
    ]
    described = {
        "input": graph.input,
        "output": graph.output,
        "shape": graph.tensor(graph.input).shape,
        "operators": operators,
    }
    constants = {tensor.name: tensor.data for tensor in graph.tensors if tensor.data is not None}
    np.savez(path, graph=np.array(json.dumps(described)), **constants)
