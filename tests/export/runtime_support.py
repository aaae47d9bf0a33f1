"""Files that list chosen operators, and what runtimes in child processes make of files."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import flatbuffers
import tflite
from ai_edge_litert.schema_py_generated import Model, ModelT, OperatorCodeT

from sweep.export.graph import Options, TFLiteGraph, TFLiteOperator, TFLiteTensor
from sweep.export.writer import write_tflite

BUILTINS = {
    name: code
    for name, code in vars(tflite.BuiltinOperator).items()
    if not name.startswith("_") and name not in ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
}


def sum_graph() -> TFLiteGraph:
    """y = x + x."""
    tensors = tuple(TFLiteTensor(name, (1, 8, 8, 4)) for name in ("x", "y"))
    add = TFLiteOperator("ADD", 1, ("x", "x"), "y", Options("AddOptions"))
    return TFLiteGraph(tensors, (add,), input="x", output="y")


def listing(operators: Iterable[tuple[str, int]]) -> bytes:
    """y = x + x with further operator codes that no operator of it uses."""
    content = ModelT.InitFromObj(Model.GetRootAs(write_tflite(sum_graph(), "")))
    for name, version in operators:
        custom = name.removeprefix("CUSTOM:") if name.startswith("CUSTOM:") else None
        code = OperatorCodeT()
        code.builtinCode = tflite.BuiltinOperator.CUSTOM if custom else BUILTINS[name]
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version, code.customCode = version, custom
        content.operatorCodes.append(code)
    return packed(content)


def custom(name: str) -> bytes:
    """A file of one custom operator."""
    content = ModelT.InitFromObj(Model.GetRootAs(listing([(f"CUSTOM:{name}", 1)])))
    (operator,) = content.subgraphs[0].operators
    operator.builtinOptionsType, operator.builtinOptions = 0, None
    del content.operatorCodes[0]
    operator.opcodeIndex = 0
    return packed(content)


def packed(content: ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(content.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def accepted(python: str, family: str, models: Sequence[bytes], folder: Path) -> list[bool]:
    """Whether the interpreter of that Python takes each of the files."""
    paths = [folder / f"{index}.tflite" for index in range(len(models))]
    for path, model in zip(paths, models, strict=True):
        path.write_bytes(model)
    listed, answers = folder / "models.json", folder / "accepted.json"
    listed.write_text(json.dumps([str(path) for path in paths]))
    script = Path(__file__).with_name("runtime_child.py")
    command = [python, str(script), family, str(listed), str(answers)]
    environment = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert child.returncode == 0, child.stderr[-2000:]
    found = json.loads(answers.read_text())
    return [bool(entry) for entry in found]
