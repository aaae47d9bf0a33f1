"""Latency of TFLite files in turn, on one thread; for Python 3.8 or newer with tflite-runtime or TensorFlow.

Serves {"files": [...], "rounds": N} with {"runtime": VERSION, "ms": {file: [median of each round]}} or, for a file
that cannot be run, {file: "why"}.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
from serving import serve

try:
    import tflite_runtime
    from tflite_runtime.interpreter import Interpreter

    VERSION = tflite_runtime.__version__
except ImportError:
    import tensorflow as tf

    Interpreter, VERSION = tf.lite.Interpreter, tf.__version__

WARMUPS = 10
ROUND_SECONDS = 0.25
FEWEST_INVOCATIONS = 5


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Each round runs every file for a quarter of a second; the order turns from round to round."""
    found: dict[str, Any] = {}
    interpreters = {}
    for file in request["files"]:
        try:
            interpreters[file] = loaded(file)
            found[file] = []
        except (RuntimeError, ValueError) as error:
            found[file] = str(error).strip().splitlines()[-1]
    for index in range(request["rounds"]):
        for file in list(interpreters) if index % 2 else reversed(list(interpreters)):
            found[file].append(round_median_ms(interpreters[file]))
    return {"runtime": VERSION, "ms": found}


def loaded(file: str) -> Any:
    """An interpreter that has run the file, on noise."""
    interpreter = Interpreter(model_path=file, num_threads=1)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        values = np.random.default_rng(0).uniform(0, 255, details["shape"])
        interpreter.set_tensor(details["index"], values.astype(details["dtype"]))
    for _ in range(WARMUPS):
        interpreter.invoke()
    return interpreter


def round_median_ms(interpreter: Any) -> float:
    """The median over a quarter of a second."""
    times = []
    until = time.perf_counter() + ROUND_SECONDS
    while len(times) < FEWEST_INVOCATIONS or time.perf_counter() < until:
        started = time.perf_counter()
        interpreter.invoke()
        times.append(1000 * (time.perf_counter() - started))
    return median(times)


if __name__ == "__main__":
    serve(answer)
