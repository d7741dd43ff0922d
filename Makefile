# `make demo` on a machine with nothing but Python (3.10 to 3.14) and a package manager; `make help`.
# Everything Python lives in .venv. A ROS installation that is sourced is used as it is; without one
# the ROS wheels are installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WM := $(BIN)/wm
# Tests run on two workers; every ROS test has a domain of its own. rclpy has crashed a worker when
# a node was destroyed (1 in some 200); loadfile then waits for ever, worksteal goes on.
WORKERS ?= 2
PYTEST_ARGS ?=
BENCH_ARGS ?=
DEMO_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint properties coverage mutants bench faults soak tworoom-env ablation-collapse indoor commands colcon-test audit readme docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 19

venv: $(READY) ## the environment, .venv

$(READY): constraints.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' || \
	  { echo 'wm_controller needs Python 3.10 to 3.14; name one: make PYTHON=python3.12 ...' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo 'the module venv is missing (Debian, Ubuntu: apt-get install python3-venv)' >&2; exit 1; }
	@test -x $(BIN)/pip || $(BIN)/python -m ensurepip -q
	$(BIN)/pip install -q -c constraints.txt 'torch==2.13.0'
	@ros=,ros; if [ -n "$$ROS_DISTRO" ]; then ros=; $(BIN)/python -c 'import rclpy' || \
	  { echo "ROS $$ROS_DISTRO is sourced but made for another Python: make PYTHON=/usr/bin/python3 ..." >&2; exit 1; }; fi; \
	  echo "$(BIN)/pip install -e .[test,peers,panel,joystick,rerun,export$$ros]"; \
	  $(BIN)/pip install -q -c constraints.txt -e ".[test,peers,panel,joystick,rerun,export$$ros]"
	@touch $@

demo: $(READY) ## drive five goals in a room never trained on; table and report
	@.ci/system-packages drive
	$(WM) demo $(DEMO_ARGS)

test: $(READY) ## the whole test suite, under ten minutes on two cores
	@.ci/system-packages drive
	@.ci/system-packages test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS) || \
	  { test $$? -eq 1 && echo 'once more, alone, what failed beside others:' && \
	    OMP_NUM_THREADS=1 $(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

lint: $(READY) ## ruff, mypy (strict for safety/ and planning/)
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# Their own tests; what they do not reach of safety/ is not covered.
SAFETY_TESTS := $(addprefix test/test_,guard.py guard_words.py envelope.py geometry.py poses.py modes.py watching.py view.py moving.py heard.py tracking.py)

properties: $(READY) ## the guardrails' properties, 10,000 examples each: hours
	WM_EXAMPLES=$${WM_EXAMPLES:-10000} OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --timeout 0 \
	  $(SAFETY_TESTS)

coverage: $(READY) ## branches of safety/ that its own tests take: at least 98 %
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -q --cov wm_controller.safety --cov-branch \
	  --cov-report term-missing --cov-fail-under 98 $(SAFETY_TESTS)

mutants: $(READY) ## change safety/ in every small way; the tests must notice 90 %: an hour or more
	WM_EXAMPLES=20 WM_SHRINK=0 OMP_NUM_THREADS=1 $(BIN)/mutmut run --max-children $(WORKERS)
	$(BIN)/mutmut export-cicd-stats
	$(BIN)/python -c "import json; s = json.load(open('mutants/mutmut-cicd-stats.json')); \
	  done = s['killed'] + s['timeout']; all = done + s['survived'] + s['no_tests']; \
	  print(f'{done} of {all} mutants noticed: {done / all:.1%}'); assert done >= 0.9 * all"

bench: $(READY) ## speed and memory, beside peers
	@.ci/system-packages drive
	$(WM) bench $(BENCH_ARGS)

# The machine should do little else meanwhile: the planner runs in real time.
FAULTS_ARGS ?= --runs 3 --markdown docs/faults.md
SOAK_ARGS ?= --minutes 60

faults: $(READY) ## inject every fault into a driving robot, three times; docs/faults.md
	@.ci/system-packages drive
	$(WM) faults $(FAULTS_ARGS)

soak: $(READY) ## an hour of driving with random faults; memory and promises
	@.ci/system-packages drive
	$(WM) benchmark soak $(SOAK_ARGS)

# The public benchmark's package wants versions of its own: never install it into .venv. torch comes
# first, so that a CPU build that pip is pointed at is taken.
SWM := .venv-swm

tworoom-env: $(SWM)/.ready ## the environment of `wm benchmark tworoom`, .venv-swm (2 GB)

$(SWM)/.ready: Makefile
	@test -x $(SWM)/bin/python || $(PYTHON) -m venv $(SWM)
	$(SWM)/bin/pip install -q 'torch==2.13.0'
	$(SWM)/bin/pip install -q 'torch==2.13.0' 'torchvision==0.28.0' 'stable-worldmodel==0.1.1' \
	  'transformers==5.23.0' h5py hdf5plugin 'imageio[ffmpeg]' opencv-python-headless pygame pymunk \
	  shapely
	@touch $@

# Four minutes of one thread for each way, and 30 drives of each.
COLLAPSE_ARGS ?= --minutes 4 --episodes 30

ablation-collapse: $(READY) ## train every way against collapse for equal time; one table
	@.ci/system-packages drive
	@$(BIN)/pip install -q -c constraints.txt -e '.[backbones]'
	@mkdir -p data
	test -e data/collapse.h5 || $(WM) collect --rooms 75 --steps 400 --seed 1 -o data/collapse.h5
	test -e data/held_out.h5 || $(WM) collect --rooms 30 --steps 120 --family evaluation \
	  --seed 77 -o data/held_out.h5
	$(WM) benchmark collapse data/collapse.h5 --held-out data/held_out.h5 -o data/collapse \
	  $(COLLAPSE_ARGS)

# 1,400 rooms and 470,000 frames; the run resumes where it was stopped, also with more minutes. Then
# sequences twice as long, for memory, in which clearance weighs more; goal pictures, upper level,
# compass and decoder; and, on drives of it, proposals and surprise.
INDOOR_MINUTES ?= 240
INDOOR_LONG_MINUTES ?= 150
INDOOR_DATA = data/indoor_1.h5 data/indoor_11.h5 data/indoor_12.h5

indoor: $(READY) ## train models/indoor.safetensors anew: half an hour of driving, then hours
	@.ci/system-packages drive
	@mkdir -p data models
	test -e data/indoor_1.h5 || $(WM) collect --rooms 400 --steps 400 --seed 1 -o data/indoor_1.h5
	test -e data/indoor_11.h5 || $(WM) collect --rooms 400 --steps 400 --seed 11 -o data/indoor_11.h5
	test -e data/indoor_12.h5 || $(WM) collect --rooms 600 --steps 250 --seed 12 -o data/indoor_12.h5
	test -e data/short.done || $(WM) train $(INDOOR_DATA) -o data/short.safetensors \
	  --minutes $(INDOOR_MINUTES) --goal-picture-minutes 0 --abstract-minutes 0 \
	  --compass-minutes 0 --decoder-minutes 0 --proposal-minutes 0
	@touch data/short.done
	$(WM) train $(INDOOR_DATA) -o models/indoor.safetensors --from data/short.safetensors \
	  --window 32 --batch 16 --minutes $(INDOOR_LONG_MINUTES) --weight prediction=4 --weight clearance=12 \
	  --goal-picture-minutes 80 --abstract-minutes 10 --compass-minutes 16 --decoder-minutes 8 \
	  --proposal-minutes 0
	$(WM) evaluate models/indoor.safetensors --family training --seed 77 --episodes 60 --record data/drives.h5
	$(WM) train data/drives.h5 -o models/indoor.safetensors --proposal-of models/indoor.safetensors \
	  --proposal-minutes 30
	$(WM) train data/drives.h5 -o models/indoor.safetensors --calibrate models/indoor.safetensors

commands: $(READY) ## run the commands of README and tutorials, shortened: a quarter of an hour
	@.ci/system-packages drive
	WM_COMMANDS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --timeout 700 test/test_commands.py

colcon-test: $(READY) ## build in a temporary workspace with colcon and look at what it installs
	$(BIN)/python -m pytest test/test_package.py $(PYTEST_ARGS)

# In an environment of its own: it brings forty packages that nothing else wants.
audit: ## known vulnerabilities of the pinned versions (asks the network)
	@test -x .venv-audit/bin/pip-audit || \
	  { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/pip install -q pip-audit; }
	.venv-audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt

readme: $(READY) ## write anew what of README and docs is made from the code
	@$(BIN)/python test/tables.py
	@$(BIN)/python docs/reference.py

docs: .venv-docs/.ready ## the pages of docs/ as a site, docs/_build/index.html
	@.venv-docs/bin/python -m sphinx -W --keep-going -q -E -b html docs docs/_build
	@echo docs/_build/index.html

.venv-docs/.ready: docs/requirements.txt
	@test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install -q -r $<
	@touch $@

clean: ## what was built; .venv, data/, checkpoints/ and runs/ stay
	rm -rf build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
