# The verbs of this project. `make serve` and `make test` are all that a newcomer needs.
PYTHON ?= python3
PORT ?= 8000
DATA ?= ../shared/data
VENV := .venv
BIN := $(VENV)/bin
SERVING := $(VENV)/.serving
DEVELOPING := $(VENV)/.developing
LIBRARIES := EGL.so.1 GLESv2.so.2 GL.so.1 gthread-2.0.so.0
PACKAGES := libegl1 libgles2 libgl1 libglib2.0-0

.PHONY: setup pose-model format check test serve all default-bundle openapi system-libraries browser

all: check test

setup: $(DEVELOPING) pose-model

# What serving needs: no torch.
$(SERVING): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[cpu,pose]'
	touch $@

$(DEVELOPING): $(SERVING)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

# Checked by SHA-256; nothing is fetched when it is there already.
pose-model: $(SERVING) system-libraries
	$(BIN)/c2vl-serve fetch-pose-model

# MediaPipe and the OpenCV that it brings open these by name. Installed only where missing, and
# only where apt can.
system-libraries: $(SERVING)
	@$(BIN)/python -c "import ctypes; [ctypes.CDLL(f'lib{n}') for n in '$(LIBRARIES)'.split()]" 2>/dev/null \
	|| { command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq $(PACKAGES); } \
	|| echo "video input needs your system's packages of $(LIBRARIES): $(PACKAGES) on Debian"

format: $(DEVELOPING)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(DEVELOPING)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

# For the tests of the page, which skip without it. Installed only where missing, and only where
# apt can.
browser:
	@command -v chromium >/dev/null \
	|| { command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium; } \
	|| echo "the page is not tested: install your system's chromium"

test: setup browser
	$(BIN)/python -m pytest -q --data=$(DATA)

serve: pose-model
	$(BIN)/c2vl-serve run --port $(PORT)

# After a change of routes, queries or answers.
openapi: $(SERVING)
	$(BIN)/python -m c2vl_serve.service.describe > docs/openapi.json.new
	mv docs/openapi.json.new docs/openapi.json

# Trains on the real sets (about 45 minutes on 2 quiet cores), then writes the bundle that ships.
default-bundle: $(DEVELOPING)
	$(BIN)/c2vl-train supervised everyday --data $(DATA) \
	    --checkpoint training/checkpoints/everyday.safetensors --report docs/everyday
	$(BIN)/c2vl-train language training/checkpoints/everyday.safetensors --data $(DATA) \
	    --report docs/everyday/language.json
	$(BIN)/c2vl-train gallery training/checkpoints/everyday.safetensors --data $(DATA) \
	    --report docs/everyday/gallery.json
	$(BIN)/c2vl-export training/checkpoints/everyday.safetensors --data $(DATA) --force \
	    --out c2vl_serve/bundles/everyday
