"""onnx2tf, from the ONNX file. Serves the requests that ``tensorflow_converter`` serves, with "onnx" for "graph".

onnx2tf always makes fp32 and fp16 files and takes its TensorFlow model's operators from a comparison with ONNX
Runtime on sample images, which it downloads unless they lie in the working directory: they are put there.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx2tf
from serving import serve

SAMPLES = Path("calibration_image_sample_data_20x128x128x3_float32.npy")
NAMES = {
    "fp32": "float32",
    "fp16": "float16",
    "dynamic_int8": "dynamic_range_quant",
    "int8": "integer_quant",
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Convert the file once for all variants."""
    frames, variants = np.load(request["calibration"]), request["variants"]
    if not SAMPLES.exists():
        small = frames[:, ::4, ::5][:, :120, :128].astype(np.float32) / 255
        rows = np.pad(small, ((0, 0), (0, 8), (0, 0), (0, 0)), mode="edge")
        np.save(SAMPLES, np.resize(rows, (20, 128, 128, 3)))
    floats = Path(request["output"], "calibration.npy")
    np.save(floats, frames.astype(np.float32))
    zeros, ones = np.zeros((1, 1, 1, 3), np.float32), np.ones((1, 1, 1, 3), np.float32)
    made = Path(request["output"], "onnx2tf")
    shutil.rmtree(made, ignore_errors=True)
    started = time.perf_counter()
    onnx2tf.convert(
        input_onnx_file_path=request["onnx"],
        output_folder_path=str(made),
        output_dynamic_range_quantized_tflite="dynamic_int8" in variants,
        output_integer_quantized_tflite="int8" in variants,
        custom_input_op_name_np_data_path=[["rgb", str(floats), zeros, ones]] if "int8" in variants else None,
        non_verbose=True,
    )
    seconds = time.perf_counter() - started
    stem = Path(request["onnx"]).stem
    files = {variant: str(made / f"{stem}_{NAMES[variant]}.tflite") for variant in variants}
    return {"seconds": seconds, "files": {v: path for v, path in files.items() if Path(path).exists()}}


if __name__ == "__main__":
    serve(answer)
