"""Depth as codes of a uint8 output: what they mean, what the metadata must say, and that all readers decode."""

import json
import math
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BufferT, MetadataT, ModelT
from handmade_files import rewritten, uint8_depth_graph
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sweep.data import Split
from sweep.export import ContractError, RunnerError, check_contract
from sweep.export.depth_encoding import code_depths_mm, decode, encode, parse_depth_encoding
from sweep.export.graph import DepthEncoding
from sweep.export.interpreter import TFLiteRunner
from sweep.export.reference import ReferenceDifference, difference, reference_difference, reference_outputs
from sweep.export.writer import write_tflite
from sweep.judging.judge import judge_file
from sweep.judging.metrics import depth_metrics

LOG = DepthEncoding("log", 400.0, 50_000.0)
LINEAR = DepthEncoding("linear", 0.0, 51_000.0)


@st.composite
def encodings(draw: st.DrawFn) -> DepthEncoding:
    """Ranges from 10 % wide on, log and linear."""
    low = draw(st.floats(1, 1e5))
    return DepthEncoding(draw(st.sampled_from(["log", "linear"])), low, draw(st.floats(1.1 * low, 1e6)))


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    """A frame with every code in its red channel."""
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[..., 0] = (np.arange(480 * 640) % 256).reshape(480, 640)
    return frame


def written(folder: Path, encoding: DepthEncoding | None) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(write_tflite(uint8_depth_graph(encoding), "by hand"))
    return path


# The codes


@given(encodings(), st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_a_depth_comes_back_within_half_a_step_of_the_encodings_own_scale(
    encoding: DepthEncoding, shares: list[float]
) -> None:
    low, high = encoding.min_mm, encoding.max_mm
    depth_mm = low + (high - low) * np.array(shares)
    back_mm = decode(encode(depth_mm, encoding), encoding).astype(np.float64)
    if encoding.kind == "log":
        error, step = np.abs(np.log(back_mm / depth_mm)), math.log(high / low) / 255
    else:
        error, step = np.abs(back_mm - depth_mm), (high - low) / 255
    rounding = np.finfo(np.float32).eps * (1 if encoding.kind == "log" else high)
    assert (error <= step / 2 + rounding).all()


@given(encodings())
def test_codes_come_back_exactly_and_depths_rise_with_them_from_end_to_end(encoding: DepthEncoding) -> None:
    codes = np.arange(256, dtype=np.uint8)
    depths_mm = decode(codes, encoding)
    assert depths_mm.dtype == np.float32
    np.testing.assert_array_equal(encode(depths_mm, encoding), codes)
    assert (np.diff(depths_mm.astype(np.float64)) > 0).all()
    assert (depths_mm[0], depths_mm[255]) == (np.float32(encoding.min_mm), np.float32(encoding.max_mm))


@pytest.mark.parametrize(
    ("encoding", "code", "depth_mm"),
    [
        (LINEAR, 1, 200.0),
        (LINEAR, 128, 25_600.0),
        (LOG, 51, 400 * 125**0.2),
        (LOG, 127, 400 * math.exp(127 / 255 * math.log(125))),
    ],
)
def test_a_code_is_evenly_spaced_in_the_depth_or_in_its_logarithm(
    encoding: DepthEncoding, code: int, depth_mm: float
) -> None:
    assert code_depths_mm(encoding)[code] == pytest.approx(depth_mm, rel=1e-6)


@pytest.mark.parametrize("encoding", [LOG, LINEAR])
def test_depths_beyond_the_range_get_the_code_of_its_end(encoding: DepthEncoding) -> None:
    np.testing.assert_array_equal(encode(np.array([-5.0, 0.0, 1e9]), encoding), [0, 0, 255])


def test_only_bytes_are_codes() -> None:
    with pytest.raises(ValueError, match="codes are int8, allowed is uint8"):
        decode(np.zeros(3, np.int8), LOG)  # type: ignore[arg-type]


# The metadata entry


@given(encodings())
def test_what_is_written_as_json_is_read_back(encoding: DepthEncoding) -> None:
    assert parse_depth_encoding(json.dumps(asdict(encoding)).encode(), "m.tflite") == encoding


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe", "is no JSON: 'utf-8' codec can't decode"),
        (b"", "is no JSON: Expecting value"),
        (b"{", "is no JSON: Expecting property name"),
        (b"[" * 100_000, "is no JSON: maximum recursion depth exceeded"),
        (b'{"kind": "log", "kind": "log"}', "is no JSON: key 'kind' occurs 2 times"),
        (b"[1]", r": found \[1\], allowed is an object with kind, min_mm, max_mm"),
        (b"{}", ": key kind is missing; found none"),
        (b'{"kind": "log", "min_mm": 1}', ": key max_mm is missing; found kind, min_mm"),
        (
            b'{"kind": "log", "min_mm": 1, "max_mm": 2, "unit": "mm"}',
            ": found key 'unit', allowed are kind, min_mm, max_mm",
        ),
        (b'{"kind": "cubic", "min_mm": 1, "max_mm": 2}', ": kind is 'cubic', allowed is log or linear"),
        (b'{"kind": 3, "min_mm": 1, "max_mm": 2}', ": kind is 3, allowed is log or linear"),
        (b'{"kind": [1], "min_mm": 1, "max_mm": 2}', r": kind is \[1\], allowed is log or linear"),
        (b'{"kind": "log", "min_mm": NaN, "max_mm": 2}', ": min_mm is nan, allowed is a number from 0 to 1e"),
        (b'{"kind": "log", "min_mm": 1, "max_mm": Infinity}', ": max_mm is inf, allowed is a number from 0"),
        (b'{"kind": "log", "min_mm": 1, "max_mm": "2"}', ": max_mm is '2', allowed is a number from 0 to"),
        (b'{"kind": "log", "min_mm": true, "max_mm": 2}', ": min_mm is True, allowed is a number from 0 to"),
        (b'{"kind": "linear", "min_mm": -1, "max_mm": 2}', ": min_mm is -1, allowed is a number from 0 to"),
        (b'{"kind": "linear", "min_mm": 0, "max_mm": 1e7}', ": max_mm is 10000000.0, allowed is a number"),
        (
            b'{"kind": "log", "min_mm": 0, "max_mm": 2}',
            ": min_mm is 0, allowed is a number above 0, for kind",
        ),
        (
            b'{"kind": "log", "min_mm": 2, "max_mm": 2}',
            ": max_mm is 2, allowed is a number above min_mm, which",
        ),
        (b'{"kind": "linear", "min_mm": 3, "max_mm": 2}', ": max_mm is 2, allowed is a number above min_mm"),
    ],
)
def test_a_broken_entry_is_told_with_file_key_and_what_is_allowed(data: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=rf"^m\.tflite: metadata entry 'depth_encoding' ?{message}"):
        parse_depth_encoding(data, "m.tflite")


@given(st.binary(max_size=60) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(repr))
def test_whatever_the_entry_holds_is_read_or_refused(found: bytes | str) -> None:
    data = found.encode(errors="surrogatepass") if isinstance(found, str) else found
    with suppress(ContractError):
        assert isinstance(parse_depth_encoding(data, "m.tflite"), DepthEncoding)


# The contract


@pytest.mark.parametrize("encoding", [LOG, LINEAR])
def test_a_uint8_output_with_an_encoding_keeps_the_contract(encoding: DepthEncoding, tmp_path: Path) -> None:
    contract = check_contract(written(tmp_path, encoding))
    assert (contract.input_type, contract.depth_encoding) == ("uint8", encoding)


def test_a_uint8_output_without_an_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match=r"output 'depth' is uint8 and the metadata have no entry 'depth_enc"
    ):
        check_contract(written(tmp_path, None))


def test_an_encoding_of_a_float_output_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(uint8_depth_graph(LOG, "float32"), ""))
    with pytest.raises(
        ContractError, match=r"entry 'depth_encoding' is there, but output 'depth' is float32;"
    ):
        check_contract(path)


def test_an_int8_output_is_refused_even_with_an_encoding(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    graph = uint8_depth_graph(LOG)
    tensors = tuple(replace(t, type="int8") if t.name == "depth" else t for t in graph.tensors)
    path.write_bytes(write_tflite(replace(graph, tensors=tensors), ""))
    with pytest.raises(
        ContractError, match=r"output 'depth' is 1x480x640x1 int8, allowed is .* uint8 with d"
    ):
        check_contract(path)


def test_two_encodings_are_one_too_many(tmp_path: Path) -> None:
    def double(model: ModelT) -> None:
        model.buffers.append(BufferT(data=list(json.dumps(asdict(LINEAR)).encode())))
        model.metadata.append(MetadataT(name="depth_encoding", buffer=len(model.buffers) - 1))

    path = written(tmp_path, LOG)
    path.write_bytes(rewritten(path.read_bytes(), double))
    with pytest.raises(ContractError, match="found 2 metadata entries 'depth_encoding', allowed is 1"):
        check_contract(path)


# Those who run the file


@pytest.mark.parametrize("encoding", [LOG, LINEAR])
def test_the_runner_gives_millimetres_and_the_codes_on_request(
    encoding: DepthEncoding, rgb: NDArray[np.uint8], tmp_path: Path
) -> None:
    runner = TFLiteRunner(written(tmp_path, encoding))
    np.testing.assert_array_equal(runner.predict_raw(rgb), rgb[..., 0])
    np.testing.assert_array_equal(runner.predict(rgb), decode(rgb[..., 0], encoding))
    assert runner.predict(rgb).dtype == np.float32


def test_a_uint8_input_is_fed_the_bytes_whatever_scale_it_declares(
    rgb: NDArray[np.uint8], tmp_path: Path
) -> None:
    def normalised(model: ModelT) -> None:
        for tensor in (model.subgraphs[0].tensors[0], model.subgraphs[0].tensors[1]):
            tensor.quantization.scale = [1 / 255]

    path = written(tmp_path, LOG)
    path.write_bytes(rewritten(path.read_bytes(), normalised))
    np.testing.assert_array_equal(TFLiteRunner(path).predict_raw(rgb), rgb[..., 0])


def test_the_judge_scores_what_the_codes_stand_for(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth_mm = rng.uniform(500, 40_000, (1, 480, 640)).astype(np.uint16)
    split = Split(names=("first",), rgb=rgb[np.newaxis], depth_mm=truth_mm)
    (judged,) = judge_file(written(tmp_path, LOG), split)
    expected_mm = 400.0 * 125.0 ** (rgb[..., 0] / 255.0)
    expected = depth_metrics(expected_mm, truth_mm[0])
    assert judged.metrics is not None
    assert asdict(judged.metrics) == pytest.approx(asdict(expected), rel=1e-6)


# Kernels against kernels


def test_differences_are_told_in_depth_in_si_rmse_and_in_codes(tmp_path: Path) -> None:
    contract = check_contract(written(tmp_path, LOG))
    expected = np.full((2, 480, 640), 100, np.uint8)
    found = expected.copy()
    found[1, :240] += 3
    step = 125 ** (3 / 255)
    told = difference(found, expected, contract)
    assert told == ReferenceDifference(
        max_relative=pytest.approx(step - 1, rel=1e-5),
        mean_relative=pytest.approx((step - 1) / 4, rel=1e-5),
        si_rmse=pytest.approx(math.log(step) / 2, rel=1e-5),  # half the pixels at 0, half at ln(step)
        max_codes=3,
    )
    assert difference(expected, found, contract).max_codes == 3


@given(st.integers(0, 2**32 - 1))
def test_the_si_rmse_between_two_outputs_bounds_how_far_their_scores_can_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, first = (np.exp(rng.normal(8, 1, (8, 8))) for _ in range(2))
    second = first * np.exp(rng.normal(0, 0.1, (8, 8)))
    scores = [depth_metrics(found, truth) for found in (first, second)]
    between = depth_metrics(first, second)
    assert abs(scores[0].si_rmse - scores[1].si_rmse) <= between.si_rmse + 1e-12


@pytest.mark.long
def test_the_reference_kernels_answer_is_decoded_too(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    path = written(tmp_path, LOG)
    reference_mm = reference_outputs(path, rgb[np.newaxis], 120)
    np.testing.assert_array_equal(reference_mm, decode(rgb[np.newaxis, ..., 0], LOG))
    assert reference_difference(path, rgb[np.newaxis], 120) == ReferenceDifference(0.0, 0.0, 0.0, 0)


def test_a_runtime_that_refuses_the_file_is_an_error_of_the_runner(tmp_path: Path) -> None:
    path = written(tmp_path, LOG)
    path.write_bytes(
        rewritten(path.read_bytes(), lambda model: setattr(model.operatorCodes[0], "version", 99))
    )
    with pytest.raises(RunnerError, match="refuses the file"):
        TFLiteRunner(path)
