# Everything runs in $(VENV), made once by venv and pip with the versions of environments/main.txt.
# ARGS adds pytest options: make bench ARGS="--model ./my-model --variant 'onnx*'"

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# Backends that need another torch, transformers or onnxruntime: an environment each, from the complete list in environments/.
EXTRA := ipex optimum-bettertransformer onnxruntime-openvino

.PHONY: bench test noise environment clean $(EXTRA:%=bench-%) $(EXTRA:%=test-%) $(EXTRA:%=env-%)

bench: $(INSTALLED)
	$(RUN) -m pytest perf_tests --benchmark-only --benchmark-autosave --benchmark-save-data $(ARGS)

test: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m pytest correctness_tests perf_tests --benchmark-disable --grid smoke --batch-sizes 4 --sequence-lengths 32 \
		-m "not slow" -n auto --threads 1 $(ARGS)

# How far the speed-up of the same code differs between processes, with both allocators (about 15 minutes).
noise: $(INSTALLED)
	$(RUN) -m fixtures.measurement.noise $(ARGS)

environment: $(INSTALLED)

$(INSTALLED): pyproject.toml environments/main.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c environments/main.txt -e '.[all-cpu,test]'
	touch $@

# In the extra environments the suite runs from this directory, its reference taken there too.
$(EXTRA:%=bench-%): bench-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest perf_tests --benchmark-only --benchmark-autosave --benchmark-save-data \
		--variant eager --variant sdpa --variant 'torchscript-freeze*' --variant torch-compile --variant '$**' $(ARGS)

$(EXTRA:%=test-%): test-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest correctness_tests perf_tests --benchmark-disable --grid smoke -m "not slow" \
		--variant eager --variant sdpa --variant torchscript --variant '$**' $(ARGS)

$(EXTRA:%=env-%): env-%: .venv-%/.installed

$(EXTRA:%=.venv-%/.installed): .venv-%/.installed: environments/%.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet -r $<
	touch $@

clean:
	rm -rf $(VENV) $(EXTRA:%=.venv-%) .artifacts .pytest_cache .ruff_cache
