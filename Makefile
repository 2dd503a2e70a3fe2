.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(shell find protos -name '*.proto')

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# pip installs exactly the locked files, checked by hash. A changed lock file rebuilds the environment.
$(VENV)/.complete: requirements/dev.txt
	@echo "Installing the locked requirements into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		--requirement requirements/dev.txt
	@touch $@

build/.complete: $(VENV)/.complete $(PROTOS)
	@mkdir -p build
	@$(BIN)/python -m grpc_tools.protoc -Iprotos \
		--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
		--python_out=build --pyi_out=build --grpc_python_out=build --mypy_grpc_out=quiet:build $(PROTOS)
	@touch $@

.PHONY: protos
protos: build/.complete ## Generate the Python code of protos/ into build/

REGION ?= us
PEOPLE ?= 1000
PYTHONPATH := $(CURDIR):$(CURDIR)/build
RUN := PYTHONPATH=$(PYTHONPATH) $(BIN)/python

.PHONY: run
run: protos ## Run a region on this machine: make run [REGION=us|eu] [PORT=8080]
	@exec env $(RUN) -m deploy.local run --region $(REGION) $(if $(PORT),--port $(PORT))

.PHONY: demo
demo: protos ## Provision generated people into the running region, as Entra does: make demo [PEOPLE=1000]
	@test -f .run/$(REGION).env || { echo "No region runs: start 'make run REGION=$(REGION)' first."; exit 1; }
	@set -a && . ./.run/$(REGION).env && exec env $(RUN) -m tools.entra --people $(PEOPLE)

.PHONY: watch
watch: protos ## Print the live change feed of the running region: make watch [REGION=us]
	@exec env $(RUN) -m deploy.local watch --region $(REGION)

.PHONY: admin
admin: protos ## Run an operator's command on the running region: make admin ARGS="keysvc --help"
	@exec env $(RUN) -m deploy.local admin --region $(REGION) $(ARGS)

# make 4.0 and later can keep the output of parallel targets apart.
SIDE_BY_SIDE = $(MAKE) --no-print-directory --jobs 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
# Tests wait more than they compute, so there are more workers than cores.
WORKERS ?= 4
PYTEST := $(BIN)/pytest -q

.PHONY: check
check: protos ## Check style, types, contracts and unit tests (under 60 s)
	@$(SIDE_BY_SIDE) lint types contracts unit

.PHONY: test
test: protos deploy-tools ## Check style, types and contracts, then run all tests, in parallel: make test [WORKERS=4]
	@$(SIDE_BY_SIDE) lint types contracts
	@$(PYTEST) --numprocesses $(WORKERS) --durations 20

.PHONY: unit
unit: protos ## Run the unit tests
	@$(PYTEST) --numprocesses 2 tests/unit

# Excluded: tests that measure time, memory or load, which coverage distorts, and tests of images.
UNMEASURED := chaos leaks large_responses memory unknown_keys overload refused_memory short_comparison stall growth
.PHONY: coverage
coverage: protos deploy-tools ## Run the tests except measurements, and print the coverage
	@$(BIN)/coverage erase
	@$(PYTEST) --numprocesses $(WORKERS) --ignore tests/integration/image --ignore tests/integration/k8s \
		$(UNMEASURED:%=--ignore-glob '*/test_%.py') \
		--cov --cov-report term:skip-covered --cov-report html:build/coverage

.PHONY: lint
lint: protos ## Check style (ruff) and contracts (buf)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/buf lint protos
	@.ci/breaking $(BIN)/buf

.PHONY: contracts
contracts: protos ## Check the import contracts of pyproject.toml (import-linter)
	@PYTHONPATH=$(PYTHONPATH) $(BIN)/lint-imports

.PHONY: types
types: protos ## Check types (mypy, strict)
	@$(BIN)/mypy

.PHONY: lock
lock: ## Update the lock files, with hashes (needs uv)
	uv pip compile -q pyproject.toml --upgrade --generate-hashes --universal \
		--python-version 3.11 --no-strip-extras --no-annotate --no-header -o requirements/runtime.txt
	uv pip compile -q pyproject.toml --upgrade --group dev --generate-hashes --universal \
		--python-version 3.11 --no-strip-extras --no-annotate --no-header -o requirements/dev.txt
	uv pip compile -q --group image -c requirements/runtime.txt --generate-hashes --universal \
		--python-version 3.11 --no-strip-extras --no-annotate --no-header -o requirements/image.txt
	uv pip compile -q --group deploy --upgrade --generate-hashes --universal \
		--python-version 3.11 --no-strip-extras --no-annotate --no-header -o requirements/deploy.txt
	uv pip compile -q --group audit --upgrade --generate-hashes --universal \
		--python-version 3.11 --no-strip-extras --no-annotate --no-header -o requirements/audit.txt
	uv pip compile -q pyproject.toml --group fuzz -c requirements/dev.txt --generate-hashes --universal \
		--python-version 3.11 --no-strip-extras --no-annotate --no-header -o requirements/fuzz.txt
	for peer in $(PEERS); do uv pip compile -q --group peer-$$peer --generate-hashes --universal \
		--python-version 3.11 --no-strip-extras --no-annotate --no-header \
		-o requirements/peers/$$peer.txt || exit 1; done
	.ci/plain-forms requirements/*.txt requirements/peers/*.txt

.PHONY: release
release: protos ## Move the unreleased changes of CHANGELOG.md to a version: make release VERSION=1.2.0
	@$(RUN) -m tools.release "$(VERSION)"

# An environment of its own: pip-audit has many dependencies that ours must not depend on.
AUDIT := .venv-audit
$(AUDIT)/.complete: requirements/audit.txt
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --requirement requirements/audit.txt
	@touch $@

.PHONY: audit-tools
audit-tools: $(AUDIT)/.complete

.PHONY: audit
audit: protos audit-tools ## Scan the locked dependencies for known vulnerabilities
	@$(RUN) -m deploy.audit $(AUDIT)/bin/pip-audit requirements/*.txt

.PHONY: conformance
conformance: protos ## Run third-party SCIM test suites against the service, and print a table
	@$(RUN) -m tests.conformance

.PHONY: soak
soak: protos ## Follow the change feed for 60 s under writes and process kills: make soak [SECONDS=60]
	@SOAK_SECONDS=$(or $(SECONDS),60) $(BIN)/pytest -q -s tests/integration/usersvc/changes/test_endurance.py

.PHONY: chaos
chaos: protos ## Inject faults while Entra provisions, and print their effects (20 minutes)
	@PYTHONPATH=$(PYTHONPATH) $(BIN)/python -m tools.chaos

.PHONY: overload
overload: protos ## Measure throughput at up to four times the peak load
	@PYTHONPATH=$(PYTHONPATH) $(BIN)/python -m tools.overload

.PHONY: stall
stall: protos ## Send hostile requests to every route, and print the delay of others (10 minutes)
	@$(RUN) -m tools.stall $(if $(ONLY),--only "$(ONLY)")

.PHONY: leaks
leaks: protos ## Detect growth of memory, tasks and files under ordinary traffic: make leaks [MINUTES=60]
	@$(RUN) -m tools.leaks --minutes $(or $(MINUTES),60)

# atheris is installed with our own requirements, because it runs our code.
FUZZ := .venv-fuzz
$(FUZZ)/.complete: requirements/fuzz.txt
	@$(PYTHON) -m venv $(FUZZ)
	@$(FUZZ)/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --requirement requirements/fuzz.txt
	@touch $@

.PHONY: fuzz
fuzz: protos $(FUZZ)/.complete ## Fuzz the service and its parsers: make fuzz [MINUTES=10]
	@$(RUN) -m tools.fuzz $(FUZZ)/bin/python --minutes $(or $(MINUTES),10)

# The tools for Kubernetes have an environment of their own: checkov and we need different versions.
TOOLS := .venv-deploy
$(TOOLS)/.complete: requirements/deploy.txt
	@echo "Installing the locked tools of deploy/ into $(TOOLS) ..."
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --requirement requirements/deploy.txt
	@touch $@

CRDS := requirements/crds
$(CRDS)/node_modules/.complete: $(CRDS)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not installed: custom resources are not checked."; exit 0; }; \
		cd $(CRDS) && npm ci --silent --no-audit --no-fund --ignore-scripts && touch node_modules/.complete

.PHONY: deploy-tools
deploy-tools: $(TOOLS)/.complete $(CRDS)/node_modules/.complete

.PHONY: k8s-check
k8s-check: protos deploy-tools ## Render the manifests of deploy/k8s and check them
	@$(BIN)/pytest -q tests/integration/k8s

.PHONY: image
image: ## Build the image with docker: make image [TAG=provisioning:local]
	@docker build --file deploy/image/Dockerfile --tag $(or $(TAG),provisioning:local) \
		--build-arg REVISION=$$(git rev-parse HEAD) .

.PHONY: sbom
sbom: protos ## Write the bill of materials of our packages to build/sbom.cdx.json (CycloneDX)
	@$(BIN)/python -m cyclonedx_py requirements --no-validate --output-reproducible requirements/runtime.txt \
		| $(BIN)/python deploy/image/sbom.py $$(git rev-parse --short HEAD) > build/sbom.cdx.json
	@echo "Wrote build/sbom.cdx.json. The image has it with the packages of its base as /app/sbom.cdx.json."

.PHONY: up
up: protos ## Run both regions in a local Kubernetes cluster (needs docker, kind, kubectl)
	@$(RUN) -m deploy.kind up

.PHONY: down
down: protos ## Delete the Kubernetes cluster of make up
	@$(RUN) -m deploy.kind down

# Measurements and pictures are written to build/; UPDATE_DOCS=1 replaces those in docs/.
UPDATE_OPTION := $(if $(UPDATE_DOCS),--update-docs)
PICTURES := $(if $(UPDATE_DOCS),docs,build)/portal

.PHONY: screenshots
screenshots: protos ## Take the pictures of docs/portal.md (needs Chromium): make screenshots [UPDATE_DOCS=1]
	@mkdir -p $(PICTURES)
	@PORTAL_SCREENSHOTS=$(PICTURES) $(BIN)/pytest -q tests/end_to_end/portal/test_story.py -k "connects or (phone and dark)"

# Peers for the comparison. A peer that cannot be installed is skipped with a message.
PEERS := django-scim2 scim2-server
SCIMMY := requirements/peers/scimmy
.venv-peers/%/.complete: requirements/peers/%.txt
	@echo "Installing $* into .venv-peers/$* ..."
	@$(PYTHON) -m venv .venv-peers/$*
	@.venv-peers/$*/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --requirement $< && touch $@ || echo "$* cannot be installed."

$(SCIMMY)/node_modules/.complete: $(SCIMMY)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not installed: scimmy is not measured."; exit 0; }; \
		cd $(SCIMMY) && npm ci --silent --no-audit --no-fund --ignore-scripts \
		&& touch node_modules/.complete || echo "scimmy cannot be installed."

.PHONY: peers
peers: $(PEERS:%=.venv-peers/%/.complete) $(SCIMMY)/node_modules/.complete

.PHONY: bench
bench: protos peers ## Measure the service, its lower bounds and its peers with 1,000 users (6 minutes): make bench [UPDATE_DOCS=1]
	@$(RUN) -m tools.benchmarks $(UPDATE_OPTION)

.PHONY: bench-against
bench-against: protos ## Compare the CPU cost of requests with another commit: make bench-against REF=main [OPS=get,create] [MINUTES=30]
	@test -n "$(REF)" || { echo "Name the commit to compare with: make bench-against REF=main"; exit 1; }
	@$(RUN) -m tools.benchmarks.against "$(REF)" $(if $(OPS),--operations "$(OPS)") \
		$(if $(MINUTES),--minutes $(MINUTES))

.PHONY: bench-full
bench-full: protos peers ## Run bench, also with 1,000,000 users and 10,000 organizations, and measure memory (50 minutes)
	@$(RUN) -m tools.benchmarks --full $(UPDATE_OPTION)

.PHONY: profile
profile: protos ## Draw flame graphs of gateway and usersvc under GET requests: make profile [NAME=after] [UPDATE_DOCS=1]
	@$(RUN) -m tools.benchmarks.profile --name $(or $(NAME),after) $(UPDATE_OPTION)
