"""Runs TFLite files under TensorFlow's own interpreter; a script of its own, for Python 3.7 or newer.

    python reference_child.py {reference | default} JOBS.json

JOBS.json is a list of [model, inputs, outputs]: a TFLite file with one input and one output, a .npy file of
inputs (N, ...) that are fed one by one, and the .npy file to write the N outputs to. "reference" means the
plain, unoptimised kernels, "default" the interpreter as it comes.
"""

import json
import sys
from typing import Any

import numpy as np
import tensorflow as tf


def main(kernels: str, jobs_path: str) -> None:
    """Run every job."""
    with open(jobs_path, encoding="utf-8") as file:
        jobs = json.load(file)
    for model, inputs, outputs in jobs:
        np.save(outputs, run(model, np.load(inputs), kernels))


def run(model: str, inputs: Any, kernels: str) -> Any:
    """The model's output for each of the inputs, stacked."""
    options = {}
    if kernels == "reference":
        options["experimental_op_resolver_type"] = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(model_path=model, **options)
    interpreter.allocate_tensors()
    input_details = interpreter.get_input_details()[0]
    output_index = interpreter.get_output_details()[0]["index"]
    outputs = []
    for values in inputs:
        interpreter.set_tensor(input_details["index"], values[np.newaxis].astype(input_details["dtype"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output_index)[0])
    return np.stack(outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
