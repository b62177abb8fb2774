# Everything runs in $(VENV), made once by venv and pip with the versions of environments/main.txt.
# ARGS adds options: those of pytest, or of the command that a target calls: make bench ARGS="--model ./my-model --variant 'onnx*'"

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# Backends that need another torch, transformers or onnxruntime: an environment each, from the complete list in environments/.
EXTRA := ipex optimum-bettertransformer onnxruntime-openvino ctranslate2 llama-cpp sentence-transformers executorch litert
# Other tools, which `make peers` measures beside ours.
PEERS := peers

# Each process would compile all modules anew: two seconds of each of the hundred sessions of `make test`.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: bench report test slow fuzz cpp gpu gpu-wheels gate calibrate release follow history merge noise busy wait-policy architectures docs \
	results site \
	environment clean peers $(EXTRA:%=bench-%) $(EXTRA:%=test-%) $(EXTRA:%=env-%) $(PEERS:%=env-%)

# Tests that take too long for every change: full-size models, 10,000 simulated suites, whole gates.
slow: $(INSTALLED)
	$(RUN) -m pytest correctness_tests --benchmark-disable -m slow $(ARGS)

# Mutated files through every command that reads files. A failure names FUZZ_SEED and FUZZ_ONLY, which repeat it in `make test`.
FUZZ_SECONDS ?= 600
fuzz: $(INSTALLED)
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(RUN) -m pytest correctness_tests/test_fuzz.py --benchmark-disable -m slow $(ARGS)

# The runners in C++ (docs/cpp.md), of what is installed, into .artifacts/cpp; with ASAN=1 with AddressSanitizer.
cpp: $(INSTALLED)
	$(RUN) -m eagerbench.cpp.build $(if $(ASAN),--asan) $(ARGS)

# What only a GPU machine can measure, into GPU_OUT (docs/gpu.md). With an interpreter of your own, where nothing can be
# installed: PYTHON=python3 scripts/gpu.sh OUT_DIR
GPU_OUT ?= .gpu
gpu: $(INSTALLED)
	PYTHON=$(RUN) scripts/gpu.sh $(GPU_OUT) $(ARGS)

# Wheels for such an interpreter, unpacked by the script where they are missing: 50 MiB at most, and only wheels.
WHEELS := .gpu-wheels
gpu-wheels:
	mkdir -p $(WHEELS)
	for version in 3.12 3.13; do $(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --implementation cp \
		--python-version $$version --platform manylinux_2_28_x86_64 --platform manylinux_2_24_x86_64 \
		--platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest $(WHEELS) \
		-r environments/gpu-wheels.txt || exit; done
	@size=$$(du -ck $(WHEELS)/*.whl | tail -1 | cut -f1); echo "$(WHEELS): $$((size / 1024)) MiB of wheels"; \
	test $$size -le 51200 || { echo "more than 50 MiB: take a line out of environments/gpu-wheels.txt"; exit 1; }

bench: $(INSTALLED)
	$(RUN) -m eagerbench run $(ARGS)

# The last run, or FILES, as one page: what to take, and every record (`make bench` writes one beside its file too).
FILES ?= .benchmarks/latest.json
report: $(INSTALLED)
	$(RUN) -m eagerbench report $(FILES) -o report.html $(ARGS)

test: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m pytest correctness_tests perf_tests --benchmark-disable --grid smoke --model tiny-bert --batch-sizes 4 --sequence-lengths 32 \
		-m "not slow" -n auto --threads 1 $(ARGS)

# Does HEAD (default: this directory as it is) make a variant slower than BASE? STAGE=screen and STAGE=confirm are the two
# jobs of CI; without STAGE both run here. They measure what [tool.eagerbench.gate] in pyproject.toml says; options in GATE
# replace those of it, GATE_ARGS goes to `eagerbench gate`.
BASE ?= origin/main
HEAD ?= .
STAGE ?=
GATE ?=
GATE_ARGS ?=
gate: $(INSTALLED)
	$(RUN) -m eagerbench gate --base "$(BASE)" --head "$(HEAD)" $(if $(STAGE),--stage $(STAGE)) \
		$(if $(wildcard noise-floor.json),--noise-floor noise-floor.json) $(GATE_ARGS) -- $(GATE)

# The same code against itself, in three duets: what `gate` may call a slowdown on this machine (about 25 minutes).
calibrate: $(INSTALLED)
	for duet in 1 2 3; do $(RUN) -m eagerbench duet --base HEAD --head HEAD --pairs 8 --null-pairs 0 \
		-o .benchmarks/calibration/$$duet.json -- $(GATE) || exit; done
	$(RUN) -m eagerbench calibrate .benchmarks/calibration/*.json -o noise-floor.json

# This commit against the last release, its ratios added to the folder HISTORY. A slowdown is reported and is no error here.
HISTORY ?= history
release: $(INSTALLED)
	@release=$$(git describe --tags --abbrev=0 2>/dev/null) || { echo "no release is tagged: nothing to compare with"; exit 0; }; \
	$(RUN) -m eagerbench gate --base "$$release" --directory .benchmarks/release \
		$(if $(wildcard noise-floor.json),--noise-floor noise-floor.json) $(GATE_ARGS) -- $(GATE); code=$$?; \
	test $$code -ne 2 -a $$code -le 4 || exit $$code; \
	$(RUN) -m eagerbench history add .benchmarks/release/verdict.json --store $(HISTORY)

# This commit's ratios to eager, of the cases FOLLOW, added to the folder HISTORY.
FOLLOW ?= test_latency.py --model minilm --batch-sizes 4 --sequence-lengths 64 --variant eager --variant sdpa \
	--variant bettertransformer --variant torchscript-freeze --variant onnxruntime --variant openvino --variant dynamic-int8
follow: $(INSTALLED)
	$(RUN) -m eagerbench run $(FOLLOW) --no-report --benchmark-json .benchmarks/follow.json
	$(RUN) -m eagerbench history add .benchmarks/follow.json --store $(HISTORY)

# The files FROM added to the folder HISTORY, and what changed in it: history.html, history.json and history.atom.
history: $(INSTALLED)
	$(if $(FROM),$(RUN) -m eagerbench history add $(FROM) --store $(HISTORY))
	$(RUN) -m eagerbench history report --store $(HISTORY) -o history.html --json history.json --atom history.atom $(ARGS)

# Files of the shards in the directory FROM as one.
merge: $(INSTALLED)
	$(RUN) -m eagerbench merge --keep-first -o grid.json $(FROM)

# How far the speed-up of the same code differs between processes, with both allocators (about 15 minutes).
noise: $(INSTALLED)
	$(RUN) -m eagerbench noise $(ARGS)

# What runs on what: small models of many architectures through every variant (an hour cold; goes on where it stopped).
architectures: $(INSTALLED)
	$(RUN) scripts/architecture_grid.py --markdown docs/architectures.md $(ARGS)

# What busy processes beside a session do to its ratios, and whether each is noticed (about an hour; docs/busy-machine.md).
busy: $(INSTALLED)
	$(RUN) -m eagerbench busy $(ARGS)

# What each wait policy costs on this machine, quiet and with one core busy (about 3 minutes).
wait-policy: $(INSTALLED)
	$(RUN) -m eagerbench wait-policy $(ARGS)

# Other tools beside ours and a bare loop, in turns: MiniLM in float32 (about 14 minutes); ARGS=--all for everything (50).
peers: $(INSTALLED) $(PEERS:%=env-%)
	$(RUN) -m scripts.peers $(ARGS)
	$(RUN) -m scripts.docs

# Every generated table and picture of README and docs again, of the code and of the files in docs/results.
docs: $(INSTALLED)
	$(RUN) -m scripts.docs $(ARGS)

# What README and docs show, measured again into docs/results (about an hour on a quiet machine), then `docs`.
results: $(INSTALLED)
	$(RUN) -m scripts.docs.measure $(ARGS)
	$(RUN) -m scripts.docs

# The pages as a web site in site/.
site: $(INSTALLED)
	$(RUN) -m pip install --quiet -c environments/main.txt -e '.[docs]'
	$(RUN) -m mkdocs build --strict

environment: $(INSTALLED)

$(INSTALLED): pyproject.toml environments/main.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c environments/main.txt -e '.[all-cpu,test,browser]'
	touch $@

# The lists are complete: xdsl, of LiteRT's converter, asks for an older typing_extensions than others, and runs with theirs.
# In the extra environments the suite runs from this directory, its reference taken there too.
bench-sentence-transformers: OF := test_embeddings.py
$(EXTRA:%=bench-%): bench-%: .venv-%/.installed
	.venv-$*/bin/python -m eagerbench run $(OF) --variant eager --variant sdpa --variant 'torchscript-freeze*' --variant torch-compile \
		--variant '$**' $(ARGS)

$(EXTRA:%=test-%): test-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest correctness_tests perf_tests --benchmark-disable --grid smoke -m "not slow" \
		--variant eager --variant sdpa --variant torchscript --variant '$**' $(ARGS)

# GCC 12.2 drops stores before `ldtilecfg`: llama.cpp's products on AMX would end the process (docs/backends.md).
.venv-llama-cpp/.installed: export CXXFLAGS += -fno-tree-dse -fno-dse

$(EXTRA:%=env-%) $(PEERS:%=env-%): env-%: .venv-%/.installed

$(EXTRA:%=.venv-%/.installed) $(PEERS:%=.venv-%/.installed): .venv-%/.installed: environments/%.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-deps -r $<
	touch $@

clean:
	rm -rf $(VENV) $(EXTRA:%=.venv-%) $(PEERS:%=.venv-%) .artifacts .gpu .gpu-wheels .pytest_cache .ruff_cache site
