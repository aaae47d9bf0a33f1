"""Which operators of a file XNNPACK takes over: asked of tflite-runtime, in a child process.

A file that nobody vouches for may kill an interpreter; then it kills the child.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.export.errors import RunnerError


@dataclass(frozen=True)
class Delegation:
    """What tflite-runtime makes of a file.

    Attributes:
        runtime: such as "tflite-runtime 2.14.0 on x86_64".
        partitions: into how many parts XNNPACK's share of the graph falls; between them, tensors change hands.
        left: the operators, by index, that the interpreter's own kernels run.
    """

    runtime: str
    partitions: int
    left: tuple[int, ...]


def ask_runtime(path: Path, timeout_seconds: float = 60.0) -> Delegation:
    """Load the file with XNNPACK on, which is the default.

    Raises RunnerError if the runtime refuses the file, dies of it, or takes longer than ``timeout_seconds``.
    """
    script = Path(__file__).with_name("delegation_child.py")
    # Isolated (-I): the script's folder must not stand before the standard library's modules.
    command = [sys.executable, "-I", str(script), str(path.resolve())]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise RunnerError(f"tflite-runtime took longer than {timeout_seconds:g} s to load it") from error
    if child.returncode < 0:
        raise RunnerError(f"it kills tflite-runtime (signal {-child.returncode}): {last_line(child.stderr)}")
    if child.returncode > 0:
        raise RunnerError(last_line(child.stderr))
    answer = json.loads(child.stdout)
    return delegation(answer["runtime"], answer["operators"])


def delegation(runtime: str, operators: Sequence[Mapping[str, object]]) -> Delegation:
    """What the interpreter's list of operators says.

    The list has the file's operators, then one DELEGATE for each part that was taken over. A part consists of the
    operators that lead from its inputs to its outputs.
    """
    parts = [one for one in operators if one["name"] == "DELEGATE"]
    own = [one for one in operators if one["name"] != "DELEGATE"]
    writers = {tensor: index for index, one in enumerate(own) for tensor in tensors(one, "outputs")}
    taken: set[int] = set()
    for part in parts:
        given, wanted = set(tensors(part, "inputs")), list(tensors(part, "outputs"))
        while wanted:
            tensor = wanted.pop()
            index = writers.get(tensor)
            if tensor in given or index is None or index in taken:
                continue
            taken.add(index)
            wanted += tensors(own[index], "inputs")
    return Delegation(runtime, len(parts), tuple(index for index in range(len(own)) if index not in taken))


def tensors(operator: Mapping[str, object], end: str) -> Sequence[int]:
    """The tensors at that end of an operator in the child's answer."""
    found = operator[end]
    assert isinstance(found, list)
    return found


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")
