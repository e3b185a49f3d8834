# The front door of the repository. `make help` lists the rooms.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
export CARGO
# Version of Kubernetes that the tests run on: empty for the newest, 1.33.13 is the oldest supported.
K8S ?=
export K8S
SKILLS := $(notdir $(patsubst %/,%,$(dir $(wildcard example-skills/*/Cargo.toml))))

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## Get what is missing on this machine (WebAssembly targets), or say how
	@hack/setup

.PHONY: demo
demo: setup ## Run an agent against a shipped cluster snapshot with a recorded conversation; no key, no cluster
	@demo/run

.PHONY: demo-cluster
demo-cluster: setup control-plane ## The same on a real Kubernetes API server, with a model that answers over HTTP; no key, no containers
	@demo/run-cluster

.PHONY: cluster
cluster: setup control-plane ## Start a control plane with the operator's roles, a sample agent and a slow model, to try replicas by hand
	@hack/cluster

.PHONY: control-plane
control-plane: ## Get Kubernetes' control plane for the tests (K8S=1.33.13 for another version)
	@hack/control-plane get $(K8S)

.PHONY: test
test: setup control-plane ## Run every test, those on a real Kubernetes API server included (K8S=1.33.13 for another version)
	INFRAAGENT_BINARY="$${CARGO_TARGET_DIR:-target}/debug/infraagent" $(CARGO) test --workspace --locked
	@for guest in cel generic; do \
	  $(CARGO) test --locked --lib --manifest-path host/guests/$$guest/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}/guests"; \
	done
	@for skill in $(SKILLS); do \
	  echo "== $$skill"; \
	  $(CARGO) test --locked --manifest-path example-skills/$$skill/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}/skills"; \
	done

.PHONY: chaos
chaos: setup control-plane ## Kill, freeze and cut off replicas for an hour, on a real API server (KILLS=1000; CHAOS_SEED=N repeats a run)
	$(CARGO) build --workspace --locked --bin infraagent
	CHAOS=full CHAOS_KILLS="$${KILLS:-1000}" INFRAAGENT_BINARY="$${CARGO_TARGET_DIR:-target}/debug/infraagent" \
	  $(CARGO) test --workspace --locked --test operator -- chaos:: --nocapture

.PHONY: peers
peers: setup ## Check the models against the vendors' own clients and litellm; needs python3 and a package index
	@tests/peers/run

.PHONY: lint
lint: setup ## Format, clippy, licences and bans
	$(CARGO) fmt --all --check
	@for skill in $(SKILLS); do $(CARGO) fmt --check --manifest-path example-skills/$$skill/Cargo.toml; done
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@for skill in $(SKILLS); do \
	  $(CARGO) clippy --locked --all-targets --manifest-path example-skills/$$skill/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}/skills" -- -D warnings; \
	done
	@hack/deny

.PHONY: bench
bench: setup control-plane ## Measure, as ratios against a baseline in the same run; writes target/bench.json
	@hack/bench chain

.PHONY: bench-scale
bench-scale: setup control-plane ## Measure the operator: idle, many runs in flight, runs per second, 10,000 agents, webhooks; writes target/bench-scale.json
	@hack/bench scale
