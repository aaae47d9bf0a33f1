"""The examples of docs/extending.md, put together as a reader would, go through a whole sweep."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sweep.lifecycle import TrialState, read_state

pytestmark = pytest.mark.long

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def write_kinect(folder: Path) -> None:
    """Pairs as the example's reader wants them: pictures and metres."""
    random = np.random.default_rng(0)
    for split, count in {"train": 16, "validation": 2}.items():
        (folder / split).mkdir(parents=True)
        for index in range(count):
            cv2.imwrite(
                str(folder / split / f"{index}.png"), random.integers(0, 256, (120, 160, 3), dtype=np.uint8)
            )
            np.save(folder / split / f"{index}.npy", random.uniform(1, 9, (120, 160)).astype(np.float32))


def test_the_examples_run_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "my_parts.py").write_text("\n\n".join(blocks("python")))
    (space,) = blocks("yaml")
    (tmp_path / "my_parts.yaml").write_text(f"score: my_parts:EdgeScore\n{space}")
    write_kinect(tmp_path / "kinect")
    environment = {**os.environ, "DEPTH_SWEEP_CACHE": str(tmp_path / "cache")}

    done = subprocess.run(
        [sys.executable, "-c", "import my_parts; my_parts.search()"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Edge Score" in done.stdout

    state = read_state(tmp_path / "runs" / "my-parts-1")
    assert state.started is not None
    assert state.started.identity["data"] == "kinect-office"
    kinds = {trial.candidate["architecture"]["encoder"]["kind"] for trial in state.trials.values()}
    assert kinds == {"my_parts:Pyramid", "mobilenetv3_small"}
    assert {trial.state for trial in state.trials.values()} == {TrialState.COMPLETE}
