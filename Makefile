# Versions of the tools, which are cached under ~/.cache/drawbridge and built once per version.
golangci_lint := github.com/golangci/golangci-lint/v2/cmd/golangci-lint v2.15.0
workflowcheck := go.temporal.io/sdk/contrib/tools/workflowcheck v0.6.0

SHELL := bash
MAKEFLAGS += --no-print-directory

# Go and the cache need a home. Services and containers may have none in their environment.
ifeq ($(HOME),)
export HOME := $(shell unset HOME; home=~; [ -w "$$home" ] && echo "$$home" || echo "/tmp/drawbridge-$$(id -u)")
endif

.DEFAULT_GOAL := help
.PHONY: help install build up down demo test test-pg soak chaos lint bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: build ## build, and put drawbridge and drawbridge-worker on the PATH of Go's programs
	@bin=$$(go env GOBIN); bin=$${bin:-$$(go env GOPATH)/bin}; \
	mkdir -p "$$bin" && install -m 755 bin/drawbridge bin/drawbridge-worker "$$bin" && echo "installed in $$bin"

build: ## build bin/drawbridge and bin/drawbridge-worker
	go build -o bin/drawbridge ./starter
	go build -o bin/drawbridge-worker ./worker

up: ## start the local stack: Temporal, its Web UI and Postgres
	@if [ -n "$$TEMPORAL_ADDRESS" ] && [ -n "$$DRAWBRIDGE_WAREHOUSE" ]; then \
		echo "using Temporal at $$TEMPORAL_ADDRESS and the warehouse in DRAWBRIDGE_WAREHOUSE"; \
	else .ci/devstack up; fi

down: ## stop the local stack; its state stays in .drawbridge
	@[ ! -e .drawbridge/devstack.lock ] || .ci/devstack down

demo: build up ## tell the story of four releases, a backfill and a schedule, on the local stack
	examples/demo.sh

test: ## run every test, on a stack of their own
	@.ci/test

test-pg: ## run the tests that talk to Postgres on other major versions: PG="14 15 16 17 18"; PACKAGES and RUN choose some
	@.ci/test-pg $(or $(PG),14 15 16 17 18)

soak: ## run what is too long for every day: the model deeper, all its traces on a real Postgres, a minute of faults
	@.ci/soak

chaos: ## break workers, Postgres and the stack at random for MINUTES=10; SEED=... replays a run
	@.ci/chaos $(or $(MINUTES),10) $(SEED)

lint: ## run the linters, and check determinism, the arrows between packages and the module files
	go mod tidy -diff
	cd internal/devstack && go mod tidy -diff
	cd internal/bench/pgroll && go mod tidy -diff
	@linter=$$(.ci/tool $(golangci_lint)) && set -x && "$$linter" run ./... && \
		(cd internal/devstack && CGO_ENABLED=0 "$$linter" run --config ../../.golangci.yaml ./...) && \
		cd internal/bench/pgroll && CGO_ENABLED=0 "$$linter" run --config ../../../.golangci.yaml ./...
	@checker=$$(.ci/tool $(workflowcheck)) && set -x && "$$checker" -show-pos ./...
	@deps=$$(go list -deps ./workflows ./starter) && \
		if grep jackc/pgx <<< "$$deps"; then echo "workflows and starter must not link the database driver" >&2; exit 1; fi

bench: ## measure the figures of docs/benchmarks.md; BASE=COMMIT compares with a commit, in ROUNDS=4 of FIGURES="..."
	@$(if $(BASE),.ci/bench-compare $(BASE) $(or $(ROUNDS),4) $(FIGURES),.ci/bench)

clean: ## stop the local stack, and delete its state and bin
	@[ ! -e .drawbridge/devstack.lock ] || .ci/devstack clean
	rm -rf bin .drawbridge
