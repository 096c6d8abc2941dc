# `make run INPUT=DIR`, `make test`, `make venv` need Python 3.11+, make and git, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUTPUT ?= reports

# Training and inference on a CPU spend their time in page faults unless malloc keeps its memory.
MALLOC := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=1073741824
# Each holds a network or two, some 1.5 GB.
TEST_PROCESSES ?= 2
TRAIN_HOURS ?= 1.25
TRAIN_SAMPLES ?= 10112
HARD_SAMPLES ?= 8192
WILD_SAMPLES ?= 6144
VARIED_SAMPLES ?= 11648
USED_SAMPLES ?= 6144
PATTERN_SAMPLES ?= 1024
PATTERN_WILD_SAMPLES ?= 768
PATTERN_VARIED_SAMPLES ?= 512
# Of each fold: what jurors are judged and calibrated on, plain and wild, and what they learn from.
CHECK_SAMPLES ?= 320
FOLD_SAMPLES ?= 1280
FOUND_WILD_SAMPLES ?= 3200
FOUND_VARIED_SAMPLES ?= 2560
FOUND := training/cache/found
FROM ?= aqs_batch/weights/aqs-b0.safetensors
# Every result names the version of its checkpoint: whoever makes one says which.
VERSION ?=
JURY := training/runs/heads/best_f1.safetensors

.PHONY: run test venv lint fmt faults bench folds found samples named versioned train jury further beside thresholds evaluate field clean

run: $(VENV)/.runtime
	@if [ -n "$(INPUT)" ]; then \
	  $(BIN)/aqs-batch run --input_dir "$(INPUT)" --output_dir "$(OUTPUT)"; code=$$?; \
	else \
	  $(BIN)/aqs-batch demo --output_dir "$(OUTPUT)"; code=$$?; \
	fi; \
	[ -f "$(OUTPUT)/index.html" ] && echo "The report: $(abspath $(OUTPUT))/index.html"; \
	exit $$code

# A file of tests is one process's, for its clips are made once. One thread each, for torch's threads
# of two processes wait for each other: its tests took three times as long.
test: $(VENV)/.everything
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile

venv: $(VENV)/.everything

lint: $(VENV)/.everything
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fmt: $(VENV)/.everything
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Real service processes, killed, starved and lied to; writes docs/faults.md. `make test` has a short one.
faults: $(VENV)/.everything
	nice -n 10 $(BIN)/python -m bench.faults --write docs/faults.md

bench: $(VENV)/.everything
	$(BIN)/python -m bench.first_light
	$(BIN)/python -m bench.speed --write docs/performance.md
	$(BIN)/python -m bench.encode

# Resumable, all of them: samples, features, jurors and checkpoints that are there are kept.
folds: $(VENV)/.everything
	for fold in val-a val-b; do \
	  $(BIN)/python -m training.dataset --split $$fold --samples $(CHECK_SAMPLES) && \
	  $(BIN)/python -m training.dataset --split $$fold --recipe wild --samples $(CHECK_SAMPLES) && \
	  $(BIN)/python -m training.dataset --split $$fold --recipe varied --samples $(FOLD_SAMPLES) && \
	  $(BIN)/python -m training.dataset --split $$fold --recipe used --samples $(FOLD_SAMPLES) || exit; \
	done

found: $(VENV)/.everything
	$(BIN)/python -m training.found --out $(FOUND)

samples: folds found
	$(BIN)/python -m training.dataset --split train --samples $(TRAIN_SAMPLES)
	$(BIN)/python -m training.dataset --split train --recipe hard --samples $(HARD_SAMPLES)
	$(BIN)/python -m training.dataset --split train --recipe wild --samples $(WILD_SAMPLES)
	$(BIN)/python -m training.dataset --split train --recipe varied --samples $(VARIED_SAMPLES)
	$(BIN)/python -m training.dataset --split train --recipe used --samples $(USED_SAMPLES)
	$(BIN)/python -m training.dataset --split train --data patterns --samples $(PATTERN_SAMPLES)
	$(BIN)/python -m training.dataset --split train --data patterns --recipe wild --samples $(PATTERN_WILD_SAMPLES)
	$(BIN)/python -m training.dataset --split train --data patterns --recipe varied --samples $(PATTERN_VARIED_SAMPLES)
	$(BIN)/python -m training.dataset --split train --recipe wild --data found:$(FOUND) --samples $(FOUND_WILD_SAMPLES)
	$(BIN)/python -m training.dataset --split train --recipe varied --data found:$(FOUND) --samples $(FOUND_VARIED_SAMPLES)

# Asked for before samples are made, which takes hours; and so is what a training goes on with.
further beside thresholds: GOES_ON = --from '$(FROM)'
versioned: named $(VENV)/.everything
	$(BIN)/python -m training.version '$(VERSION)' $(GOES_ON)

named:
	@: $(if $(strip $(VERSION)),,$(error say VERSION=... of the checkpoint to be made))

define ship
	$(MALLOC) $(BIN)/python -m training.ship --checkpoint $(1) --version '$(VERSION)'
endef

define beside_and_ship
	$(MALLOC) $(BIN)/python -m training.beside colour --checkpoint $(1)
	$(MALLOC) $(BIN)/python -m training.beside trails --checkpoint $(JURY)
	$(MALLOC) $(BIN)/python -m training.beside softness --checkpoint $(JURY)
	$(call ship,$(JURY))
endef

# The backbone tuned for TRAIN_HOURS, and a jury on it.
train: versioned samples
	$(MALLOC) OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m training.train --hours $(TRAIN_HOURS)
	$(MALLOC) $(BIN)/python -m training.heads --init training/runs/main/latest.safetensors
	$(call beside_and_ship,$(JURY))

# A jury from the beginning, on the backbone as ImageNet left it (training/LOG.md, 17 and 25).
jury: versioned samples
	$(MALLOC) $(BIN)/python -m training.heads
	$(call beside_and_ship,$(JURY))

# The jurors of the checkpoint at hand go on with samples that they have not seen (training/LOG.md, 37).
further: versioned samples
	$(MALLOC) $(BIN)/python -m training.heads --further $(FROM)
	$(call beside_and_ship,$(JURY))

# What ships: heads beside the jury of the checkpoint at hand (training/LOG.md, 40, 41 and 47).
beside: versioned folds found
	$(call beside_and_ship,$(FROM))

# The weights of the checkpoint at hand as they are, calibrated anew, with new thresholds.
thresholds: versioned folds
	$(call ship,$(FROM))

# The frozen test split: writes training/RESULTS.md and training/results.json. Resumable: stopped, it
# goes on where it was; with new weights only the detector's own readings are made again.
evaluate: $(VENV)/.rivals
	$(MALLOC) $(BIN)/python -m training.evaluate

# What `aqs-batch run` says of clips that ffmpeg's own filters and codecs damaged.
field: $(VENV)/.everything
	$(BIN)/python -m training.field --write training/FIELD.md

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The stamps depend on pyproject.toml alone, so a changed dependency is installed and nothing else is.
$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.everything: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[training,dev]"
	@touch $(VENV)/.runtime $@

# Without a C++ compiler BRISQUE cannot be installed; RESULTS.md then says that it was not run.
$(VENV)/.rivals: $(VENV)/.everything
	$(BIN)/python -m pip install --quiet --editable ".[rivals]" || echo "going on without BRISQUE"
	@touch $@
