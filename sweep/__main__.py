"""The entry point of ``sweep``: says what to install if the extra is missing, then hands over to the CLI."""

import importlib.util
import os
import sys

NEEDED = (
    *("pydantic", "yaml", "filelock", "psutil", "packaging"),
    *("ray", "optuna", "mlflow", "matplotlib", "cv2", "numba"),
    *("torch", "onnx", "onnxruntime", "tensorflow", "tflite", "flatbuffers", "tflite_runtime"),
)


def main() -> None:
    """Run the command line."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"sweep needs packages that are not installed: {', '.join(missing)}\n"
            "Install them with: pip install 'depth-sweep[sweep]'",
            file=sys.stderr,
        )
        sys.exit(2)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from sweep.cli import app

    app(prog_name="sweep")


if __name__ == "__main__":
    main()
