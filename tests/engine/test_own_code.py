"""Where one's own code is found: on this machine after everything else, in Ray's workers by its package."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.append(str(Path(__file__).parents[1] / "space"))
from space_documents import put, small_document

from sweep.engine.own_code import folders_for, make_importable, own_packages
from sweep.engine.ray_cluster import WORKER_SETTINGS, runtime_environment
from sweep.engine.settings import Compute
from sweep.space import parse_space

LOSS = """
from typing import Literal
from sweep.space.candidate import OwnLoss

class Loss(OwnLoss):
    kind: Literal["{module}:Loss"]

    def __call__(self, prediction, target, valid):
        return (prediction - target)[valid].mean()
"""


@pytest.fixture(autouse=True)
def own_sys_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def write(folder: Path, module: str) -> Path:
    """A package or a single module with a loss; the file of the loss."""
    *packages, name = module.split(".")
    place = folder
    for package in packages:
        place = place / package
        place.mkdir()
        (place / "__init__.py").touch()
    file = place / f"{name}.py"
    file.write_text(LOSS.format(module=module))
    return file


def space_with(module: str) -> str:
    loss = {"own": {"kind": f"{module}:Loss", "weight": 1}}
    return yaml.safe_dump(put(small_document(), "recipe.loss", loss))


def test_a_package_is_found_in_the_folder_that_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, "found_here.inner.losses")
    make_importable((tmp_path,))
    space = parse_space(space_with("found_here.inner.losses"))
    assert own_packages(space) == (str(tmp_path / "found_here"),)
    assert file.is_relative_to(tmp_path / "found_here")


def test_a_single_module_is_a_package_too(tmp_path: Path) -> None:
    file = write(tmp_path, "found_alone")
    make_importable((tmp_path,))
    assert own_packages(parse_space(space_with("found_alone"))) == (str(file),)


def test_what_is_installed_travels_with_the_environment() -> None:
    assert own_packages(parse_space(yaml.safe_dump(small_document()))) == ()


def test_own_folders_hide_nothing(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise AssertionError('not this one')")
    before = list(sys.path)
    make_importable((tmp_path, tmp_path))
    assert sys.path == [*before, str(tmp_path)]


def test_folders_are_the_ones_asked_for_then_the_spaces_then_the_current_one(tmp_path: Path) -> None:
    asked = (Path("/a"), Path("/b"))
    assert folders_for(Path("spaces/x.yaml"), asked) == (*asked, Path("spaces"), Path())
    assert folders_for(tmp_path) == (tmp_path, Path())


def test_workers_of_a_cluster_look_where_this_machine_found_it_or_are_sent_it() -> None:
    compute = Compute(own_packages=("/home/me/code/mine", "/home/me/more/other.py"))
    seen = runtime_environment(compute)
    assert seen == {"env_vars": {**WORKER_SETTINGS, "PYTHONPATH": "/home/me/code:/home/me/more"}}
    sent = runtime_environment(Compute(own_packages=compute.own_packages, ship_code=True))
    assert sent["env_vars"] == WORKER_SETTINGS
    assert sent["py_modules"][-2:] == list(compute.own_packages)
    assert runtime_environment(Compute()) == {"env_vars": WORKER_SETTINGS}
