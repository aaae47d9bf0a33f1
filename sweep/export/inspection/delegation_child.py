"""Loads a TFLite file with tflite-runtime and prints, as JSON, the operators that it then has.

    python delegation_child.py MODEL.tflite

The answer: ``runtime``, and ``operators``, each with ``name``, ``inputs`` and ``outputs``. A file that the
runtime refuses ends it with its reason on stderr and exit code 1.
"""

import json
import platform
import sys

import tflite_runtime
from tflite_runtime.interpreter import Interpreter


def main(path: str) -> None:
    """Answer for the file at ``path``."""
    try:
        interpreter = Interpreter(model_path=path, num_threads=1)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        sys.exit(" ".join(str(error).split()))
    operators = [
        {
            "name": operator["op_name"],
            "inputs": [int(tensor) for tensor in operator["inputs"]],
            "outputs": [int(tensor) for tensor in operator["outputs"]],
        }
        for operator in interpreter._get_ops_details()
    ]
    runtime = f"tflite-runtime {tflite_runtime.__version__} on {platform.machine()}"
    print(json.dumps({"runtime": runtime, "operators": operators}))


if __name__ == "__main__":
    main(sys.argv[1])
