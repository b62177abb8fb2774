# Everything runs in $(VENV), made once by venv and pip with the versions of environments/main.txt.
# ARGS adds pytest options: make bench ARGS="--model ./my-model --variant 'onnx*'"

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.PHONY: bench test noise environment clean

bench: $(INSTALLED)
	$(RUN) -m pytest perf_tests --benchmark-only --benchmark-autosave --benchmark-save-data $(ARGS)

test: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m pytest correctness_tests perf_tests --benchmark-disable --grid smoke -m "not slow" $(ARGS)

# How far the speed-up of the same code differs between processes, with both allocators (about 15 minutes).
noise: $(INSTALLED)
	$(RUN) -m fixtures.measurement.noise $(ARGS)

environment: $(INSTALLED)

$(INSTALLED): pyproject.toml environments/main.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c environments/main.txt -e '.[onnxruntime,test]'
	touch $@

clean:
	rm -rf $(VENV) .artifacts .pytest_cache .ruff_cache
