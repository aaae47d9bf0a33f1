"""The spaces that come with the package, their JSON Schema, and how they are found."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console
from space_documents import put, small_document, space_of

from sweep.space import (
    RandomSuggest,
    Space,
    bundled_spaces,
    candidate_schema,
    json_schema,
    load_space,
    parse_space,
)
from sweep.space.bundled import bundled_folder, bundled_names
from sweep.space.describe import describe
from sweep.space.strict_yaml import read_yaml

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "search_spaces"


@pytest.fixture(params=sorted(path.stem for path in FOLDER.glob("*.yaml")))
def space(request: pytest.FixtureRequest) -> Space:
    return load_space(FOLDER / f"{request.param}.yaml")


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_hundred_samples_of_a_bundled_space_are_candidates(space: Space) -> None:
    suggest = RandomSuggest(0)
    candidates = [space.draw(suggest)[1] for _ in range(100)]
    assert len({candidate.hash for candidate in candidates}) == 100
    architectures = space.architectures()
    assert architectures is None or architectures > 100


def test_mobilenetv3_has_as_many_architectures_as_its_comments_say() -> None:
    inputs, encoder_width, stem = 3 * 2, 3, 2
    stage1, stage2, stage3 = 2 * 3, 3 * 2 * 3 * 2 * 2, 3 * 2 * 3 * 2 * 2
    stage4 = 2 * 2 * 3 * 2
    decoders = (7 + 5 * 3 + 7 * 2) * 2
    outputs = 2 * 2
    expected = inputs * encoder_width * stem * stage1 * stage2 * stage3 * (1 + stage4) * decoders * outputs
    assert load_space(FOLDER / "mobilenetv3.yaml").architectures() == expected


def test_the_first_trial_of_mobilenetv3_is_wholly_given() -> None:
    space = load_space(FOLDER / "mobilenetv3.yaml")
    first = space.candidate(space.start_from[0])
    assert (first.architecture.input.height, first.architecture.input.width) == (128, 160)
    assert (first.architecture.encoder.width, first.recipe.learning_rate) == (0.75, 3e-3)
    assert (first.recipe.optimizer.kind, first.recipe.schedule.kind) == ("adamw", "one_cycle")


def test_the_json_schema_accepts_every_bundled_space(validator: jsonschema.Draft202012Validator) -> None:
    for path in FOLDER.glob("*.yaml"):
        validator.validate(read_yaml(path.read_bytes(), str(path)))


def test_the_schema_of_candidates_accepts_every_bundled_one_and_nothing_open() -> None:
    schema = candidate_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    names = [name for name in bundled_names() if name.startswith(("mai2022/", "teachers/"))]
    for name in set(names) - {"mai2022/all"}:
        content = read_yaml(bundled_folder().joinpath(f"{name}.yaml").read_bytes(), name)
        validator.validate(content)
        assert not validator.is_valid(put(content, "recipe.batch_size", {"choose": [8]}))
    assert not validator.is_valid(read_yaml((FOLDER / "mai2022" / "all.yaml").read_bytes(), "all.yaml"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("architecture.encoder", {"kind": "ghostnet", "width": 1, "stages": {"int": [4, 6]}}),
        ("architecture.encoder", {"kind": "mobilenetv2", "width": 1, "stages": 4, "stage2": {"kernel": 5}}),
        (
            "architecture.encoder",
            {"choose": {"efficientnet_b0": {}, "ghostnet": {}}, "width": 1, "stages": 4},
        ),
        ("architecture.context", {"kind": "aspp", "width": 16, "dilation": {"int": [1, 3]}}),
        ("architecture.context", {"choose": {"none": {}, "aspp": {"width": 16, "dilation": 1}}}),
        ("architecture.decoder", {"kind": "light", "width": 8, "upsampling": "nearest"}),
        ("architecture.output.inner", {"kind": "resize_to", "height": 48, "width": 64}),
        ("recipe.loss", {"ssim": 1, "robust": {"float": [0, 1]}, "robust_alpha": {"choose": [1, 2]}}),
        ("recipe.pretrained", {"kind": "timm", "model": {"choose": ["a", "b"]}}),
        ("recipe.gradient_clip", {"float": [0.1, 10], "log": True}),
        ("recipe.precision", {"choose": ["auto", "float32"]}),
        ("recipe.augmentation.rotation", 15),
        ("warm_start", [{"candidates": "mai2022"}]),
    ],
)
def test_the_json_schema_offers_what_loading_takes(
    validator: jsonschema.Draft202012Validator, path: str, value: object
) -> None:
    document = put(small_document(), path, value)
    validator.validate(document)
    assert space_of(document).name == "small"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("architecture.encoder", {"kind": "ghostnet", "width": 1, "stages": 8}),
        ("architecture.encoder", {"kind": "ghostnet", "width": 1, "stages": 4, "stage2": {"kernel": 4}}),
        ("architecture.encoder", {"kind": "mobilenetv4", "width": 1, "stages": 4}),
        ("architecture.context", None),
        ("recipe.gradient_clip", None),
        ("recipe.pretrained", {"kind": "timm"}),
        ("warm_start", [{"candidate": "mai2022"}]),
        ("recipe.lerning_rate", 1),
        ("recipe.learning_rate", 0),
        ("recipe.learning_rate", None),
        ("recipe.learning_rate", {"float": [1]}),
        ("recipe.learning_rate", {"choose": []}),
        ("recipe.learning_rate", {"choose": [1, 1.0]}),
        ("recipe.optimizer", {"kind": "adan"}),
        ("recipe.optimizer", {"choose": {"adam": None}}),
        ("architecture.encoder.stage1.depth", {"int": [0, 2]}),
        ("architecture.encoder.stage1.kernel", 4),
        ("budget.time", 600),
        ("budget.time", "10 minutes"),
        ("sampler", {"kind": "tpr"}),
        ("start_from", [{"recipe.learning_rate": None}]),
    ],
)
def test_the_json_schema_refuses_what_loading_refuses(
    validator: jsonschema.Draft202012Validator, path: str, value: object
) -> None:
    assert validator.is_valid(small_document())
    assert not validator.is_valid(put(small_document(), path, value))


def test_the_json_schema_explains_the_keys_of_the_candidate_models() -> None:
    definitions: dict[str, Any] = json_schema()["$defs"]
    stage = definitions["StageSpace"]["properties"]
    assert stage["depth"]["description"] == "Blocks in the stage."
    assert definitions["StageSpace"]["required"] == [
        "depth",
        "kernel",
        "expansion",
        "squeeze_excite",
        "activation",
    ]
    assert '"default": null' not in str(definitions).replace("'", '"').replace("None", "null")


def test_bundled_spaces_are_found_by_name_and_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    assert list(bundled_spaces()) == sorted([*names, "mai2022/all"])
    by_name, by_path = load_space("mobilenetv3"), load_space("search_spaces/mobilenetv3.yaml")
    assert by_name.hash == by_path.hash == load_space(FOLDER / "mobilenetv3.yaml").hash
    assert by_name.text == (FOLDER / "mobilenetv3.yaml").read_text()


def test_a_file_in_the_working_directory_goes_before_a_bundled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "search_spaces" / "mobilenetv3.yaml"
    own.parent.mkdir()
    own.write_text((FOLDER / "mobilenetv3.yaml").read_text().replace("name: mobilenetv3", "name: own"))
    assert load_space("search_spaces/mobilenetv3.yaml").name == "own"
    assert load_space("mobilenetv3").name == "mobilenetv3"


def test_a_wheel_brings_its_spaces_along(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q"]
    source = _copy_of_the_sources(tmp_path / "source")
    subprocess.run([*build, "-w", str(tmp_path)], cwd=source, check=True, timeout=200)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        "import sweep; from sweep.space import load_space; print(sweep.__file__); "
        "print(load_space('search_spaces/mobilenetv3.yaml').hash, load_space('mobilenetv3').hash)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    expected = load_space(FOLDER / "mobilenetv3.yaml").hash
    assert ran.stdout.split() == [str(tmp_path / "installed" / "sweep" / "__init__.py"), expected, expected]


def _copy_of_the_sources(target: Path) -> Path:
    """Building writes beside the sources, so it works on links to them in a folder of its own."""
    target.mkdir()
    for path in REPOSITORY.iterdir():
        if path.name in {"pyproject.toml", "README.md", "LICENSE", "sweep", "device_farm", "search_spaces"}:
            (target / path.name).symlink_to(path)
    return target


def test_the_description_shows_parameters_count_limits_and_one_candidate() -> None:
    space = load_space(FOLDER / "mobilenetv3.yaml")
    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115  lives as long as the console
    console.print(describe(space, seed=3))
    text = console.export_text()
    for parameter in space.parameters():
        assert f"{parameter.path} " in text
        assert str(parameter.domain) in text
    assert f"{space.architectures():,} architectures; every combination is possible." in text
    assert "12 trials of up to 6 epochs, compared after 2, 6, at most 10m; measured on any device" in text
    assert "A candidate (seed 3):\narchitecture:\n  input:\n    height: " in text.replace(" \n", "\n")


def test_the_whole_file_in_the_documentation_is_a_space(validator: jsonschema.Draft202012Validator) -> None:
    blocks = (REPOSITORY / "docs" / "search-spaces.md").read_text().split("```yaml\n")[1:]
    (whole,) = [block.partition("```")[0] for block in blocks if block.startswith("name:")]
    validator.validate(read_yaml(whole.encode(), "docs"))
    assert parse_space(whole, "docs").architectures() == 2 * 3
