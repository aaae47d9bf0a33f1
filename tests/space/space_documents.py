"""A small, valid space as plain data; tests change one thing and look at what comes of it."""

from typing import Any

import pytest
import yaml

from sweep.space import Space, SpaceError, parse_space


def _stage() -> dict[str, Any]:
    return {"depth": 1, "kernel": 3, "expansion": 2, "squeeze_excite": False, "activation": "relu"}


def small_document() -> dict[str, Any]:
    """Fixed everywhere but for the learning rate."""
    return {
        "name": "small",
        "architecture": {
            "input": {"height": 96, "width": 128, "resize": "bilinear"},
            "encoder": {
                "kind": "mobilenetv3",
                "width": 0.5,
                "stem_activation": "relu",
                "stage1": _stage(),
                "stage2": _stage(),
                "stop": {"kind": "stride_16", "stage3": _stage()},
            },
            "decoder": {"kind": "add", "width": 16, "upsampling": "nearest"},
            "output": {"stride": 2, "upsampling": "nearest"},
        },
        "recipe": {
            "optimizer": {"kind": "adam"},
            "learning_rate": {"float": [1e-3, 1e-2], "log": True},
            "schedule": {"kind": "cosine", "warmup": 0.1},
            "loss": {"silog": 1, "silog_lambda": 0.85, "gradient": 0.5, "l1": 0},
            "augmentation": {"flip": True, "crop": {"kind": "none"}, "colour": 0.1},
            "batch_size": 8,
        },
        "budget": {"trials": 8, "max_epochs": 6, "time": "10m"},
        "rungs": {"epochs": [2, 6], "reduction_factor": 2},
    }


def put(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Set a value by dotted path, in place."""
    *parents, key = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    place[key] = value
    return document


def space_of(document: dict[str, Any]) -> Space:
    """Load a document from its YAML text."""
    return parse_space(yaml.safe_dump(document, sort_keys=False), "small.yaml")


def problems_of(document: dict[str, Any]) -> list[str]:
    """The lines of the error that loading raises."""
    with pytest.raises(SpaceError) as raised:
        space_of(document)
    return str(raised.value).splitlines()
