"""``sweep show`` tells what a candidate is, from a file, a bundled name or a sweep's trial."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from sweep.export import export_network, inspect_model
from sweep.lifecycle.events import TrialProposed
from sweep.models import build_network
from sweep.models.untrained import settle_batch_norm
from sweep.space.candidate import Candidate
from tests.cli.managed_sweeps import write_sweep
from tests.report.report_sweep import started

STAGE = {"depth": 1, "kernel": 3, "expansion": 2.0, "squeeze_excite": False, "activation": "relu"}
CANDIDATE: dict[str, Any] = {
    "architecture": {
        "input": {"height": 64, "width": 80, "resize": "bilinear"},
        "encoder": {
            "kind": "mobilenetv3",
            "width": 0.25,
            "stem_activation": "relu",
            "stage1": STAGE,
            "stage2": {**STAGE, "squeeze_excite": True},
            "stop": {"kind": "stride_8"},
        },
        "decoder": {
            "kind": "collapsible",
            "width": 16,
            "upsampling": "nearest",
            "taper": 0.5,
            "depth": 1,
            "expansion": 4.0,
        },
        "output": {"stride": 2, "upsampling": "bilinear"},
    },
    "recipe": {
        "optimizer": {"kind": "adam"},
        "learning_rate": 0.001,
        "schedule": {"kind": "cosine", "warmup": 0.0},
        "loss": {"silog": 0.0, "silog_lambda": 0.85, "gradient": 0.0, "l1": 0.0, "ssim": 1.0},
        "augmentation": {"flip": True, "crop": {"kind": "none"}, "colour": 0.0},
        "batch_size": 8,
    },
}
PUBLISHED = {
    "team": "Us",
    "size_mb": 0.04,
    "si_rmse": 0.3,
    "rmse": 3.5,
    "log10": 0.11,
    "rel": 0.3,
    "runtime_ms": 46,
    "final_score": 298,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    told = {"name": "small", "description": "A small one.", **deepcopy(CANDIDATE), "published": PUBLISHED}
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return path


def test_size_parameters_and_multiply_adds_are_those_of_a_real_file(call, file, tmp_path) -> None:
    result = call("show", file, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    candidate = Candidate.model_validate(CANDIDATE)
    network = build_network(candidate.architecture)
    frames = np.random.default_rng(1).integers(0, 256, (1, 480, 640, 3), dtype=np.uint8)
    settle_batch_norm(network, frames)
    written = export_network(network, tmp_path / "export", frames).tflite
    info = inspect_model(written)
    assert found["tflite_mb"] == written.stat().st_size / 1e6
    assert found["multiply_adds"]["total"] == info.multiply_adds
    # The file's numbers are the weights and biases; what else it holds are a few constants of its operators.
    folded = sum(norm.num_features for norm in network.modules() if isinstance(norm, torch.nn.BatchNorm2d))
    assert found["parameters"]["file"] == info.parameters
    assert 0 <= info.parameters - (found["parameters"]["total"] - folded) <= 16
    assert found["parameters"]["training"] == sum(weights.numel() for weights in network.parameters())
    assert found["candidate"] == candidate.model_dump(mode="json")
    assert found["candidate_hash"] == candidate.hash
    assert found["architecture_hash"] == candidate.architecture_hash
    assert found["published"] == PUBLISHED
    assert (found["name"], found["description"], found["source"]) == ("small", "A small one.", str(file))
    assert (found["inner_size"], found["output_size"]) == ([64, 80], [32, 40])


def test_json_has_all_figures_under_stable_keys(call, file) -> None:
    found = json.loads(call("show", file, "--json").stdout)
    assert set(found) == {
        *("name", "description", "source", "candidate_hash", "architecture_hash", "tflite_mb"),
        *("inner_size", "output_size", "parameters", "multiply_adds", "receptive_field", "stages"),
        *("candidate", "published"),
    }
    assert found["receptive_field"] == {
        "encoder": {"height": 15, "width": 15, "whole_image": True},
        # Enlarged by nearest neighbour, the two 3x3 convolutions see three of the deepest positions at most.
        "decoder": {"height": 15 + 2 * 8, "width": 15 + 2 * 8, "whole_image": True},
    }
    assert found["multiply_adds"]["resizes"] == {
        "input": 4 * 3 * 64 * 80,
        "network": 0,
        "output": 4 * 480 * 640,
    }
    assert set(found["parameters"]) == {"total", "file", "training", "encoder", "decoder", "head"}
    assert [stage["name"] for stage in found["stages"]] == [
        "encoder.stem",
        "encoder.stages.0",
        "encoder.stages.1",
        "decoder.blocks.0",
        "decoder.blocks.1",
        "head",
    ]
    assert found["stages"][2] == {
        "name": "encoder.stages.1",
        "channels": 16,
        "size": [8, 10],
        "strides": [8.0, 8.0],
        "parameters": found["stages"][2]["parameters"],
        "multiply_adds": found["stages"][2]["multiply_adds"],
        "receptive_field": {"height": 15, "width": 15, "whole_image": True},
    }


def test_the_text_names_recipe_and_published_figures(call, file) -> None:
    result = call("show", file)
    assert result.exit_code == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == f"small {file}"
    assert "sizes 480x640 -> 64x80 (bilinear) -> 32x40 -> 480x640 (bilinear)" in lines
    assert "loss ssim 1" in lines
    assert "Published, Us: the report's data and device" in lines
    assert "published 0.04 0.3 3.5 0.11 0.3 46 298" in lines


def test_a_trial_of_a_sweep_is_shown_like_any_candidate(call, tmp_path) -> None:
    candidate = Candidate.model_validate(CANDIDATE)
    proposal = TrialProposed(
        0, {}, candidate.model_dump(mode="json"), candidate.hash, candidate.architecture_hash, "sampler"
    )
    write_sweep(tmp_path, "done", [started(), proposal])
    result = call("show", "done", "--trial", 0, "--runs", tmp_path, "--json")
    assert result.exit_code == 0, result.stderr or result.exception
    found = json.loads(result.stdout)
    assert (found["name"], found["source"]) == ("done, trial 0", str(tmp_path / "done"))
    assert (found["candidate_hash"], found["published"]) == (candidate.hash, None)
    wrong = call("show", "done", "--trial", 4, "--runs", tmp_path)
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr == "error: --trial: found 4; sweep done has no such trial: there are 0 to 0\n"


def test_a_file_with_a_wrong_key_is_refused_with_its_name_and_what_is_allowed(call, file) -> None:
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    told["architecture"]["output"]["stride"] = 3
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    result = call("show", file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {file}: architecture.output.stride: found 3; allowed: 1 or 2 or 4 or 8\n"


def test_a_name_that_means_nothing_is_refused_with_the_names_there_are(call) -> None:
    result = call("show", "mai2022/tlc")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: mai2022/tlc: found no such file; allowed: ")
    assert "mai2022/tcl" in result.stderr


def test_help_fits_80_columns(call) -> None:
    result = call("show", "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
