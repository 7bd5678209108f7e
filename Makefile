# What a developer runs. Each target sets up what it needs: a Python >= 3.11, .venv, the packages of requirements.lock.
#   make PYTHON=/path/to/python3.12 test     choose the Python
#   make test ARGS='-k verify -x'            hand something to pytest

.DEFAULT_GOAL := help
.PHONY: help demo test kafka up down ps logs topics create-topics smoke pin chaos soak crash fuzz lint versions bench fixtures docs proto lock clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?=
CANDIDATES := python3.13 python3.12 python3.11 python3 python
ARGS ?=
SEEDS ?= 1-20
MINUTES ?= 10
UPGRADE ?= --upgrade
COMPOSE := docker compose --file compose/compose.yaml
PROTO := src/tradecap/serve/proto
comma := ,
empty :=
PROFILES = $(subst $(comma), ,$(or $(COMPOSE_PROFILES),$(shell sed -n 's/^COMPOSE_PROFILES=//p' compose/.env 2>/dev/null)))
# What fills the store: the profile loader unless the profiles name engine.
FEED = $(or $(filter loader engine,$(PROFILES)),loader)
# Two at once where there are two cores: more would wait for the embedded store's memory.
JOBS := $(shell [ "$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)" -ge 2 ] && echo 2 || echo 0)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(READY) ## the whole pipeline on your machine: capture, faults, load, proof
	@$(BIN)/tradecap demo

test: $(READY) ## all tests; those that need something that isn't here are skipped (ARGS='-k ...' goes to pytest)
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

kafka: $(READY) ## Apache Kafka on localhost:19092 until Ctrl-C, as the tests run it; needs Java and Maven (ARGS='--port 19093')
	@$(BIN)/python -m tests.kafka $(ARGS)

up: compose/.env compose/secrets/clickhouse_password ## the whole stack in containers: Redpanda, ClickHouse, capture, load (docs/operations.md)
	$(if $(word 2,$(FEED)),$(error COMPOSE_PROFILES names loader and engine: keep one of them (compose/.env)))
	@$(COMPOSE) --profile '*' rm --force --stop $(if $(filter engine,$(FEED)),load,engine)
	@COMPOSE_PROFILES=$(subst $(empty) $(empty),$(comma),$(sort $(PROFILES) $(FEED))) $(COMPOSE) up --detach --build --wait
	@echo "Console: http://localhost:8080   API: http://localhost:8000/docs   page: http://localhost:8000/app   prove it: $(COMPOSE) run --rm verify   from here: tradecap verify --profile compose"

down: ## stop the stack; topics, tables and spool stay in their volumes (ARGS=--volumes removes them)
	@$(COMPOSE) --profile '*' down $(ARGS)

ps: ## what runs of the stack, and how healthy it is
	@$(COMPOSE) --profile '*' ps --all $(ARGS)

logs: ## the output of the stack (ARGS=stream: one service)
	@$(COMPOSE) --profile '*' logs --follow --tail 100 $(ARGS)

topics: ## the stack's topic, and how it differs from what is wanted
	@$(COMPOSE) run --rm --no-deps --entrypoint tradecap init topics $(ARGS)

create-topics: ## make the stack's topic if it is missing
	@$(COMPOSE) run --rm --no-deps --entrypoint tradecap init topics --create $(ARGS)

smoke: $(READY) ## the stack does its whole job once: in containers, or without an engine as plain processes (ARGS='--processes --profile engine')
	@$(BIN)/python compose/smoke.py $(ARGS)

pin: ## write the digests of the images into compose/.env (needs a container engine and a network)
	@for name in REDPANDA CONSOLE CLICKHOUSE; do \
	  image=$$(sed -n "s/^$${name}_IMAGE=\([^@]*\).*/\1/p" compose/.env.example) && docker pull --quiet "$$image" >/dev/null && \
	  sed -i "/^$${name}_IMAGE=/d" compose/.env && \
	  echo "$${name}_IMAGE=$$image@$$(docker image inspect --format '{{index .RepoDigests 0}}' "$$image" | sed 's/.*@//')" >> compose/.env || exit 1; \
	done

compose/.env:
	@cp compose/.env.example $@

compose/secrets/clickhouse_password:
	@mkdir -p compose/secrets && umask 077 && LC_ALL=C tr -dc 'a-zA-Z0-9' < /dev/urandom | head -c 32 > $@ && chmod 644 $@

chaos: $(READY) ## capture and process while everything fails, 20 seeds of 20 s (SEEDS=7 or SEEDS=1-100)
	@TRADECAP_LIVE=60 $(BIN)/python -m pytest tests/flows/verify/test_live.py
	@TRADECAP_OUTAGE=600 $(BIN)/python -m pytest -rP tests/flows/test_spool.py -k outage
	@TRADECAP_CHAOS=$(SEEDS) $(BIN)/python -m pytest -n $(JOBS) tests/chaos/test_chaos.py tests/chaos/test_broker_chaos.py tests/chaos/test_cluster.py \
	  tests/chaos/test_process_chaos.py $(ARGS)

soak: $(READY) ## days of capture in ten minutes: 24 h limits, clocks that are set, midnight, the end of a month (MINUTES=60)
	@TRADECAP_SOAK=$(MINUTES) $(BIN)/python -m pytest tests/chaos/test_soak.py $(ARGS)

lint: $(READY) ## ruff, mypy --strict, the rules of imports, hadolint, buf
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy --strict && $(BIN)/lint-imports && $(BIN)/hadolint Dockerfile
	@cd $(PROTO) && $(abspath $(BIN))/buf lint && $(abspath $(BIN))/buf breaking --against published.binpb

versions: $(READY) ## the core of the tests and the demo with the lowest and the newest versions that pyproject.toml allows
	@.ci/versions $(PYTHON)

crash: $(READY) ## kill -9 at 100 random moments (CRASH_SEED=7 runs one seed again)
	@CRASH_ROUNDS=$${CRASH_ROUNDS:-100} $(BIN)/python -m pytest tests/flows/test_crash.py $(ARGS)

fuzz: $(READY) ## a million mutated lines in each feed, ten thousand command lines, 200 tamperings (FUZZ_SEED=7 runs one seed again)
	@FUZZ_LINES=$${FUZZ_LINES:-1000000} FUZZ_COMMANDS=$${FUZZ_COMMANDS:-10000} TAMPERINGS=$${TAMPERINGS:-200} \
	  $(BIN)/python -m pytest tests/fuzz tests/flows/verify/test_tamperings.py $(ARGS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris || { echo "atheris can't be had for this Python: no coverage-guided run"; exit 0; }; \
	  mkdir -p build/corpus && $(BIN)/python -m tests.fuzz.coverage_guided -runs=300000 -max_len=2000 build/corpus

bench: $(READY) ## measure, both sides in one run
	@$(BIN)/python bench/run.py $(ARGS)

fixtures: $(READY) ## make fixtures/ and the sample again from their seeds (the same bytes)
	@$(BIN)/python fixtures/make.py

docs: $(READY) ## write docs/cli.md from the commands
	@$(BIN)/python docs/make_cli.py

proto: $(READY) ## make the Python code of the gRPC interface from its .proto
	@$(BIN)/python -m tests.serve.make_proto

lock: $(READY) ## renew requirements.lock from pyproject.toml, and upgrade all (UPGRADE= adds what is missing and keeps the rest)
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --extra dev --generate-hashes --no-header \
	  pyproject.toml --output-file requirements.lock
	@echo "requirements.lock is renewed; 'make test' installs it."

clean: ## remove .venv, caches and build results; never your data
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A name on the PATH proves nothing (pyenv has names for versions that aren't there; Debian a Python without venv): each candidate is tried.
# The stamp comes last, so that a run that was cut short is begun again.
$(READY): requirements.lock pyproject.toml
	@python=''; seen=''; bare=''; \
	for candidate in $(if $(PYTHON),'$(PYTHON)',$(CANDIDATES)); do \
	  version=$$("$$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	  seen="$$seen $$candidate=$$version"; \
	  "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue; \
	  "$$candidate" -c 'import ensurepip, venv' 2>/dev/null || { bare="$$candidate"; continue; }; \
	  python="$$candidate"; break; \
	done; \
	if [ -z "$$python" ] && [ -n "$$bare" ]; then \
	  echo "$$bare has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv), or name another: make PYTHON=..."; exit 1; \
	elif [ -z "$$python" ]; then \
	  echo "tradecap needs Python 3.11 or newer; found:$${seen:- none}. Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; \
	fi >&2; \
	echo "setting up $(VENV) with $$python (once; the embedded database is a big download)" >&2; \
	"$$python" -m venv --clear $(VENV) || { echo "$$python could not make $(VENV) (above is why)." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock \
	  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e . \
	  || { echo "pip could not install the packages (above is why). It needs a package index: check the network, or set PIP_INDEX_URL." >&2; exit 1; }
	@touch $(READY)
