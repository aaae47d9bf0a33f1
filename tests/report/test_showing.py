"""What `sweep show` prints, line by line."""

from textwrap import dedent

import pytest

from sweep.models.describe import NetworkDescription, Part, ReceptiveField, Stage
from sweep.report.recipe_words import recipe_words
from sweep.report.showing import Showing, showing_json, showing_view
from sweep.space import Candidate
from sweep.space.candidate_file import PublishedRow
from sweep.space.recipe import Recipe

STAGE = {"depth": 1, "kernel": 3, "expansion": 2, "squeeze_excite": False, "activation": "relu"}
RECIPE = {
    "optimizer": {"kind": "adamw", "weight_decay": 0.001},
    "learning_rate": 0.003,
    "schedule": {"kind": "one_cycle", "peak": 0.3},
    "loss": {"silog": 10.0, "gradient": 0.25, "robust": 0.6, "robust_alpha": 0.5},
    "augmentation": {"flip": True, "crop": {"kind": "random", "min_scale": 0.6}, "colour": 0.1},
    "batch_size": 8,
}
CANDIDATE = Candidate.model_validate(
    {
        "architecture": {
            "input": {"height": 128, "width": 160, "resize": "pooled"},
            "encoder": {
                "kind": "mobilenetv3",
                "width": 1,
                "stem_activation": "relu",
                "stage1": STAGE,
                "stage2": STAGE,
                "stop": {"kind": "stride_8"},
            },
            "decoder": {"kind": "light", "width": 32, "upsampling": "nearest"},
            "output": {
                "stride": 4,
                "upsampling": "nearest",
                "inner": {"kind": "resize_to", "height": 48, "width": 64},
            },
        },
        "recipe": RECIPE,
    }
)
LOCAL, GLOBAL = ReceptiveField(15, 17, whole_image=False), ReceptiveField(235, 235, whole_image=True)
SHOWN = Showing(
    name="tcl",
    description="The winner\nof 2022.",
    source="mai2022/tcl",
    candidate=CANDIDATE,
    network=NetworkDescription(
        inner_size=(128, 160),
        output_size=(48, 64),
        parts=(Part("encoder", 1_000, 3_000, 2_500_000), Part("head", 3_000, 3_000, 7_500_000)),
        stages=(
            Stage("encoder.stages.0", 16, 32, 40, (4.0, 4.0), 1_000, 2_500_000, LOCAL),
            Stage("head", 1, 48, 64, (128 / 48, 2.5), 3_000, 7_500_000, GLOBAL),
        ),
        resize_multiply_adds={"input": 250_000, "network": 0, "output": 1_250_000},
        encoder_field=LOCAL,
        decoder_field=GLOBAL,
    ),
    tflite_bytes=2_750_000,
    file_parameters=3_900,
    published=PublishedRow(
        team="TCL",
        size_mb=2.5,
        si_rmse=0.2773,
        rmse=3.47,
        log10=0.1103,
        rel=0.2997,
        runtime_ms=46.0,
        final_score=298.0,
    ),
)


@pytest.mark.parametrize("width", [80, 120])
def test_a_candidate_is_shown_whole_on_terminals_of_both_usual_widths(show, width: int) -> None:
    hashes = f"{CANDIDATE.hash}, architecture {CANDIDATE.architecture_hash}"
    expected = f"""\
    tcl  mai2022/tcl
    The winner of 2022.

    TFLite file      2.75 MB in fp32, 3,900 parameters
    sizes            480x640 -> 128x160 (pooled) -> 48x64 -> 480x640 (nearest)
    multiply-adds    10.00 M
    resizes          1.50 M more: input 0.25, network 0.00, output 1.25
    receptive field  encoder 15x17, decoder 235x235+
                     + and through means the whole inner image
    candidate        {hashes}

    Parts
    part     parameters   share  in training  M MACs   share
    ────────────────────────────────────────────────────────
    encoder       1,000   25.0%        3,000    2.50   25.0%
    head          3,000   75.0%        3,000    7.50   75.0%
    total         4,000  100.0%        6,000   10.00  100.0%

    Stages, in the order of execution
    stage             channels   size      stride  parameters  M MACs  field
    ───────────────────────────────────────────────────────────────────────────
    encoder.stages.0        16  32x40           4       1,000    2.50  15x17
    head                     1  48x64  2.67 x 2.5       3,000    7.50  235x235+
    + and through means the whole inner image

    Recipe
    optimizer      adamw, weight_decay 0.001
    learning rate  0.003
    schedule       one_cycle, peak 0.3
    loss           silog 10, silog_lambda 0.85, gradient 0.25, robust 0.6, robust_alpha 0.5
    augmentation   flip, crop (random, min_scale 0.6), colour 0.1
    batch size     8

    Published, TCL: the report's data and device
                   size_mb  si_rmse  rmse   log10     rel  runtime_ms  final_score
    ──────────────────────────────────────────────────────────────────────────────
    published          2.5   0.2773  3.47  0.1103  0.2997          46          298
    here       2.75 (+10%)
    """
    found = show(showing_view(SHOWN), width=width)
    assert max(map(len, found.splitlines())) <= width
    if width == 120:
        assert found == dedent(expected)
    else:  # the line of losses is longer than that, and wraps
        assert found.split() == dedent(expected).split()


def test_what_cannot_be_followed_is_said_not_to_be_known(show) -> None:
    network = NetworkDescription(
        inner_size=(64, 64),
        output_size=(32, 32),
        parts=(Part("encoder", 10, 10, 100),),
        stages=(Stage("encoder", 8, 32, 32, (2.0, 2.0), 10, 100, None),),
        resize_multiply_adds={"input": 0, "network": 0, "output": 0},
        encoder_field=None,
        decoder_field=None,
    )
    shown = Showing("mine", "", "mine.yaml", CANDIDATE, network, 1_000_000, 10)
    found = show(showing_view(shown), width=100)
    assert "receptive field  encoder ?, decoder ?\n" in found
    assert found.count("? not known: a part of another package does what cannot be followed\n") == 2
    assert "Published" not in found
    assert "in training" not in found
    assert showing_json(shown)["receptive_field"] == {"encoder": None, "decoder": None}
    assert showing_json(shown)["published"] is None


def test_a_recipe_is_told_with_all_that_differs_from_the_plain_one() -> None:
    recipe = Recipe.model_validate(
        RECIPE
        | {
            "loss": {"si_rmse": 1.0, "ssim": 0.5},
            "augmentation": {"flip": False, "crop": {"kind": "none"}, "colour": 0.0, "rotation": 15.0},
            "distillation": {
                "kind": "teacher",
                "start": 0.0,
                "depth": 0.0,
                "features": 0.0,
                "pairwise": 10.0,
            },
            "pretrained": {"kind": "file", "path": "encoder.pt", "partial": True},
            "gradient_clip": 1.0,
            "precision": "float32",
        }
    )
    assert dict(recipe_words(recipe)) == {
        "optimizer": "adamw, weight_decay 0.001",
        "learning rate": "0.003",
        "schedule": "one_cycle, peak 0.3",
        "loss": "si_rmse 1, ssim 0.5",
        "augmentation": "crop none, colour 0, rotation 15",
        "batch size": "8",
        "pretrained": "file, path encoder.pt, partial",
        "distillation": "teacher, start 0, pairwise 10",
        "gradient clip": "1",
        "precision": "float32",
    }
