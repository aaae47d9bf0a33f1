"""Addresses of stores, and that no secret of theirs is ever shown."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.tracking.addresses import (
    artifact_root,
    check_apart,
    kind_of,
    normalised,
    redacted,
    remembered,
    scrubbed,
)

PASSWORDS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=8)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////runs/mlflow.db", "sqlite:////runs/mlflow.db"),
        ("postgresql://sweep@db/mlflow", "postgresql://sweep@db/mlflow"),
        ("postgresql://sweep:secret@db:5432/mlflow", "postgresql://sweep:***@db:5432/mlflow"),
        ("postgresql+psycopg://sweep:se%40ret@db/m?sslmode=require", None),
        ("postgresql://sweep:not@coded/at:all@db/mlflow", "postgresql://sweep:***@db/mlflow"),
        ("postgresql:///mlflow?host=/run&password=secret", "postgresql:///mlflow?host=/run&password=***"),
        ("postgresql://db/m?user=a&sslpassword=s&x=1", "postgresql://db/m?user=a&sslpassword=***&x=1"),
        ("https://sweep:secret@mlflow.example/x", "https://***@mlflow.example/x"),
        ("https://token@mlflow.example", "https://***@mlflow.example"),
        ("http://mlflow:5000", "http://mlflow:5000"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url, shown):
    assert redacted(url) == (shown or url.replace("se%40ret", "***"))


@given(PASSWORDS, st.sampled_from(["postgresql://sweep:{}@db:5432/mlflow", "https://sweep:{}@server/x"]))
def test_no_password_is_shown_however_it_is_written(password, form):
    for written in (quote(password, safe=""), password):
        url = form.format(written)
        told = f"cannot reach {url} as sweep with {password!s} or {written}"
        assert written not in redacted(url)
        assert written not in scrubbed(told, url)
        if "%" not in written:  # else it is not this password that the address holds
            assert password not in scrubbed(told, url)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:////runs/mlflow.db", "sqlite"),
        ("postgresql://sweep@db/mlflow", "postgresql"),
        ("postgres://sweep@db/mlflow", "postgresql"),
        ("postgresql+psycopg2://sweep@db/mlflow", "postgresql"),
        ("http://127.0.0.1:5000", "http"),
        ("https://mlflow.example", "http"),
    ],
)
def test_the_kind_of_a_store_follows_from_its_address(url, kind):
    assert kind_of(url, "MLflow store") == kind


@pytest.mark.parametrize(
    "url", ["mlruns", "sqlite:///relative.db", "file:///tmp/mlruns", "mysql://u:p@h/d", "http://"]
)
def test_other_addresses_are_refused_with_what_is_allowed(url):
    with pytest.raises(ValueError, match="MLflow store") as refused:
        kind_of(url, "MLflow store")
    assert str(refused.value) == (
        f"MLflow store {redacted(url)!r}: must be sqlite:/// and an absolute path, "
        "postgresql://USER@HOST/DATABASE, http(s)://HOST:PORT"
    )


def test_postgresql_is_spoken_with_psycopg_unless_the_address_names_another_driver():
    assert normalised("postgresql://u@h/d") == "postgresql+psycopg://u@h/d"
    assert normalised("postgres://u@h/d") == "postgresql+psycopg://u@h/d"
    assert normalised("postgresql+psycopg2://u@h/d") == "postgresql+psycopg2://u@h/d"
    assert normalised("sqlite:////d") == "sqlite:////d"


def test_a_resume_goes_on_where_the_sweep_was_unless_that_takes_a_password():
    assert remembered(None, None, "--mlflow-uri") is None
    assert remembered("http://new", "http://old", "--mlflow-uri") == "http://new"
    assert remembered(None, "postgresql://sweep@db/mlflow", "--mlflow-uri") == "postgresql://sweep@db/mlflow"
    recorded = redacted("postgresql://sweep:secret@db/mlflow")
    with pytest.raises(ValueError, match=r"--mlflow-uri: the sweep began with postgresql://sweep:\*\*\*@db/"):
        remembered(None, recorded, "--mlflow-uri")


@pytest.mark.parametrize(
    ("mlflow", "optuna"),
    [
        ("postgresql://a:x@db/sweep", "postgresql+psycopg2://b:y@db:5432/sweep"),
        ("sqlite:////runs/one.db", "sqlite:////runs/one.db"),
    ],
)
def test_one_database_for_both_is_refused(mlflow, optuna):
    with pytest.raises(ValueError, match="MLflow and Optuna cannot share the database") as refused:
        check_apart(mlflow, optuna)
    assert ":y@" not in str(refused.value)


@pytest.mark.parametrize(
    ("mlflow", "optuna"),
    [
        ("postgresql://a@db/mlflow", "postgresql://a@db/optuna"),
        ("postgresql://a@db/sweep", "postgresql://a@db/sweep?options=-csearch_path%3Doptuna"),
        ("postgresql://a@db:5433/sweep", "postgresql://a@db/sweep"),
        ("http://mlflow:5000", "sqlite:////runs/optuna.db"),
    ],
)
def test_databases_and_schemas_of_their_own_are_fine(mlflow, optuna):
    check_apart(mlflow, optuna)


def test_files_go_where_they_are_wanted_and_by_default_beside_the_runs():
    beside = Path("/runs/mlflow-artifacts")
    assert artifact_root("sqlite:////runs/mlflow.db", None, beside) == "file:///runs/mlflow-artifacts"
    assert artifact_root("postgresql://a@db/m", None, beside) == "file:///runs/mlflow-artifacts"
    assert artifact_root("http://mlflow:5000", None, beside) is None
    assert artifact_root("http://mlflow:5000", "s3://bucket/x", beside) == "s3://bucket/x"
    assert artifact_root("postgresql://a@db/m", "/shared/files", beside) == "file:///shared/files"
