"""Quantises float TFLite files with TensorFlow's own quantiser, which reads and writes finished files.

    python int8_oracle_child.py JOBS.json

JOBS.json is a list of [model, inputs, quantised]: a float32 TFLite file, a .npy file of inputs (N, ...) to
calibrate with, and the file to write: with float32 input and output, and operators without an integer form.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.optimize.calibrator import Calibrator


def main(jobs_path: str) -> None:
    for model, inputs, quantised in json.loads(Path(jobs_path).read_text()):
        quantise(Path(model), np.load(inputs).astype(np.float32), Path(quantised))


def quantise(model: Path, inputs: np.ndarray, quantised: Path) -> None:
    calibrator = Calibrator(model.read_bytes())
    batches = ([values[np.newaxis]] for values in inputs)
    written = calibrator.calibrate_and_quantize(lambda: batches, tf.float32, tf.float32, True)
    quantised.write_bytes(written)


if __name__ == "__main__":
    main(*sys.argv[1:])
