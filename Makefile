PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint coverage bench bench-check gpu-check docs train-demo fuzz clean

$(BIN)/lungscan: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.dev: pyproject.toml $(BIN)/lungscan
	$(BIN)/python -m pip install --quiet 'torch==2.13.0' || true  # where an index has this build it is the small one for CPUs
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

demo: $(BIN)/lungscan  ## a synthetic chest CT with known nodules, scanned: from nothing to a report
	$(BIN)/lungscan phantom demo --scans 1 --seed 7
	$(BIN)/lungscan scan demo/subset0/*.mhd --write json --write html --write png -o demo
	@echo; echo "The scan, its truth (annotations.csv) and the report (a page, pictures, JSON) lie in demo/:"; find demo -type f | sort

test: lint  ## everything CI runs
	$(BIN)/python -m pytest
	$(MAKE) --no-print-directory bench-check

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build/typed && mkdir -p build/typed/lungscan  # the package as installed, kernels and engines inside
	@ln -s $(CURDIR)/lungscan/* $(CURDIR)/kernels $(CURDIR)/engines build/typed/lungscan/
	cd build/typed && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml -p lungscan

coverage: $(VENV)/.dev  ## the branches of reading, writing, batch, cache and report that no test takes
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/python -m coverage run -m pytest -q
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --skip-covered -m

bench: $(VENV)/.dev  ## every benchmark, whole scans against the plain way included where real scans are at hand
	$(BIN)/python -m pytest benchmarks -m "" --benchmark-only --benchmark-columns=min,median,max

bench-check: $(VENV)/.dev  ## the short form: fails when a ratio is 15 % under the committed one of this kind of machine
	$(BIN)/python -m pytest benchmarks -m "not slow and not gpu" --benchmark-only --benchmark-columns=min,median,max

gpu-check: $(VENV)/.dev  ## where there is an NVIDIA GPU: its tests, then its benchmarks, in ten minutes
	$(BIN)/python -m benchmarks.gpu_check

docs: $(VENV)/.dev  ## the pictures of README and docs, drawn by the code itself, and the site in build/site
	$(BIN)/python docs/pictures.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

train-demo: DEMO := build/train-demo
train-demo: $(VENV)/.dev  ## phantoms, a cache, all three networks, and what they are worth: under ten minutes on two cores
	rm -rf $(DEMO)
	$(BIN)/lungscan phantom $(DEMO)/a --scans 13 --seed 1 >/dev/null & other=$$!; \
	$(BIN)/lungscan phantom $(DEMO)/b --scans 13 --seed 2 >/dev/null && wait $$other
	$(BIN)/lungscan prepare $(DEMO)/a --cache $(DEMO)/cache
	$(BIN)/lungscan prepare $(DEMO)/b --cache $(DEMO)/cache
	$(BIN)/lungscan train segmentation --cache $(DEMO)/cache -o $(DEMO)/run --steps 700 --card examples/demo-card.json
	$(BIN)/lungscan train nodule --cache $(DEMO)/cache -o $(DEMO)/run --steps 400
	$(BIN)/lungscan train malignancy --cache $(DEMO)/cache -o $(DEMO)/run --steps 150
	$(BIN)/lungscan evaluate model --weights $(DEMO)/run/weights.safetensors --cache $(DEMO)/cache --set validation

fuzz: $(VENV)/.dev  ## 50,000 damaged scans through the readers, on all cores
	$(BIN)/python -m tests.fuzz.run 50000

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
