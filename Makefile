.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(shell find protos -name '*.proto')

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# pip installs only what the lock names, byte for byte; a changed lock makes the environment anew.
$(VENV)/.complete: requirements/dev.txt
	@echo "Installing the locked requirements into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		--requirement requirements/dev.txt
	@touch $@

build/.complete: $(VENV)/.complete $(PROTOS)
	@rm -rf build && mkdir -p build
	@$(BIN)/python -m grpc_tools.protoc -Iprotos \
		--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
		--python_out=build --pyi_out=build --grpc_python_out=build --mypy_grpc_out=quiet:build $(PROTOS)
	@touch $@

.PHONY: protos
protos: build/.complete ## Generate the Python code of protos/ into build/
