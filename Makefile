# `make run` sets everything up and runs the main job; `make test` sets everything up and runs the tests.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# TFLite 2.5.0, the challenge's runtime, needs a Python 3.8; without one its tests are deselected.
VENV25 := .venv-tflite25
PYTHON38 ?= $(shell PYENV_VERSION=3.8.18 python3.8 -c 'import sys; print(sys.executable)' 2>/dev/null)
READY25 := $(VENV25)/.ready

# The worker also runs as an emulated aarch64 program; without qemu those tests are deselected.
ARM64 := .arm64
QEMU := $(shell command -v qemu-aarch64-static)
ARM64_PYTHON := $(ARM64)/usr/bin/python-arm64

.PHONY: install install-tflite25 arm64-root run test test-all lint types contracts format clean

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

install-tflite25: $(READY25)

$(READY25):
	$(PYTHON38) -m venv $(VENV25)
	$(VENV25)/bin/pip install --quiet --disable-pip-version-check 'tensorflow-cpu==2.5.0'
	touch $@

arm64-root: $(ARM64_PYTHON)

$(ARM64_PYTHON): tests/device_farm/arm64/make_root.py tests/device_farm/arm64/pi4.py pyproject.toml constraints.txt | $(READY)
	$(BIN)/python tests/device_farm/arm64/make_root.py $(ARM64)

run: install
	$(BIN)/sweep run search_spaces/mobilenetv3.yaml

# Tests that only compute share the cores. The others start servers and take times: they have the machine alone.
COMPUTING := $(addprefix tests/,benchmarks_search export judging models search space training)
SHARED := $(BIN)/pytest --numprocesses auto --maxprocesses 8 $(COMPUTING)
ALONE := $(BIN)/pytest $(addprefix --ignore=,$(COMPUTING))

test: install
	$(SHARED) -m "not long and not tflite25"
	$(ALONE) -m "not long and not tflite25"

LONG := long$(if $(PYTHON38), or tflite25)

test-all: install $(if $(PYTHON38),install-tflite25) $(if $(QEMU),arm64-root)
	DEPTH_SWEEP_TFLITE25_PYTHON=$(if $(PYTHON38),$(CURDIR)/$(VENV25)/bin/python) \
		DEPTH_SWEEP_ARM64_ROOT=$(if $(QEMU),$(CURDIR)/$(ARM64)) \
		sh -e -c '$(SHARED) -m "$(LONG)"; $(ALONE) -m "$(LONG)"'

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

contracts: install
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VENV25) $(ARM64) build dist *.egg-info
