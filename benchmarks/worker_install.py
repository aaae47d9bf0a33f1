"""What a farm worker costs to install and to start: the base set plus the `worker` extra.

    python benchmarks/worker_install.py

Installs `.[worker]`, pinned by constraints.txt, into an empty environment. Prints the largest packages, the
seconds it took, time and memory of importing the worker there, and the frameworks which that import loads:
there, and in the environment that this program runs in, where all of them should be installed.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "runs")
FORBIDDEN = ("torch", "ray", "tensorflow", "onnx", "optuna", "mlflow")
ROUNDS = 5
LARGEST = 10

SIZES = """
import json, sys
from importlib.metadata import distributions
sizes = {
    entry.name: sum(path.locate().stat().st_size for path in entry.files if path.locate().is_file())
    for entry in distributions(path=[sys.argv[1]])
}
print(json.dumps(sizes))
"""
IMPORT = """
import time
began = time.perf_counter()
import device_farm.worker.worker
seconds = time.perf_counter() - began
import json, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak_mb = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps({"seconds": seconds, "peak_mb": peak_mb, "modules": sorted(sys.modules)}))
"""


def main() -> None:
    """Install, measure, print."""
    with tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-") as folder:
        source, environment = Path(folder) / "source", Path(folder) / "environment"
        shutil.copytree(REPOSITORY, source, ignore=NOT_SOURCE)  # building leaves files beside the source
        python = make_environment(environment)
        seconds = install(source, python)
        packages = environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        sizes = json.loads(output(str(python), "-c", SIZES, str(packages)))
        print_sizes(sizes, total=folder_size(packages))
        print(f"\n{'installation, seconds':<40} {seconds:>8.1f}")
        print_imports(python, source, Path(folder))


def make_environment(folder: Path) -> Path:
    """An environment without any package, pip included; its Python."""
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


def install(source: Path, python: Path) -> float:
    """Wall seconds of ``pip install '.[worker]'``, with this environment's pip."""
    constraints = str(source / "constraints.txt")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    began = time.perf_counter()
    output(*pip, "--disable-pip-version-check", "--constraint", constraints, f"{source}[worker]")
    return time.perf_counter() - began


def print_sizes(sizes: dict[str, int], total: int) -> None:
    """The largest packages, bytecode included, and all of the environment."""
    print(f"{'package':<40} {'MB':>8}")
    for name, size in sorted(sizes.items(), key=lambda entry: -entry[1])[:LARGEST]:
        print(f"{name:<40} {size / 1e6:>8.1f}")
    print(f"{f'all {len(sizes)} packages':<40} {total / 1e6:>8.1f}")


def print_imports(python: Path, source: Path, elsewhere: Path) -> None:
    """Time and memory of importing the worker in the new environment; what it loads there and here."""
    imports = [json.loads(output(str(python), "-c", IMPORT, cwd=elsewhere)) for _ in range(ROUNDS)]
    print(f"{'import the worker, seconds':<40} {statistics.median(e['seconds'] for e in imports):>8.2f}")
    print(f"{'memory after it, MB':<40} {statistics.median(e['peak_mb'] for e in imports):>8.1f}")
    here = json.loads(output(sys.executable, "-c", IMPORT, cwd=source))
    installed = [name for name in FORBIDDEN if find_spec(name)]
    print(f"{'frameworks loaded there':<40} {listed(imports[0]['modules']):>8}")
    print(f"{'frameworks loaded here':<40} {listed(here['modules']):>8} (installed: {', '.join(installed)})")


def listed(modules: list[str]) -> str:
    """The forbidden frameworks among the modules, by name."""
    return ", ".join(sorted(set(FORBIDDEN) & {name.partition(".")[0] for name in modules})) or "none"


def folder_size(folder: Path) -> int:
    """Bytes of all files below the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def output(*command: str, cwd: Path | None = None) -> str:
    """What the command prints; raises CalledProcessError if it fails."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=cwd).stdout


if __name__ == "__main__":
    main()
