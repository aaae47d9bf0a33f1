"""What only a process of its own can show: a missing extra, and Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_without_its_extra_sweep_says_what_to_install() -> None:
    program = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from sweep.__main__ import main; main()"
    # -S leaves out site-packages, and with them everything that is not Python's own.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )
    needed = "pydantic, yaml, filelock, psutil, packaging, ray, optuna"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"sweep needs packages that are not installed: {needed}")
    assert done.stderr.endswith("\nInstall them with: pip install 'depth-sweep[sweep]'\n")


def test_ctrl_c_while_data_are_prepared_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", "data"],
        env={**os.environ, "DEPTH_SWEEP_CACHE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "compiling the renderer: 1 done\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "interrupted\n")
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
