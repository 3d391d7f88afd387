# The verbs that people and CI use. `make` alone lists them.
SHELL    := /bin/bash
MODULES  := $(shell go list -m -f '{{.Dir}}')
PACKAGES := $(addsuffix /...,$(MODULES))
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X github.com/noetl/gateway/libs/run.version=$(VERSION)
TOOLS    := $(CURDIR)/.cache/bin
LINT     := $(TOOLS)/golangci-lint-$(shell cat .golangci-lint-version)
VULN     := v1.5.0
GOTESTSUM := $(TOOLS)/gotestsum-v1.13.0
# go test, one line for each package that has tests, and what a failed test printed.
RUNTESTS  = tests/in-memory $(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg --hide-summary=all
# The race detector links with a C compiler.
RACE     := $(if $(shell command -v gcc || command -v clang),-race)

PROGRAMS := auth edge-proxy event-fanout ingress sandbox noetl-gateway

.PHONY: help run up down build dist images third-party test e2e test-containers reliability check check-deploy chart-cluster dashboards lint fmt house vuln bench attack fuzz gen clean assets sdk

help: ## list the verbs
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

run: build ## build, then run the whole gateway with a sandbox NoETL; prints where to go
	@exec bin/noetl-gateway dev

up: images third-party ## build and start the split stack in containers; CLUSTER=1, SETTINGS=file, FRONT_PORT=… (docs/compose.md)
	@GATEWAY_VERSION=$(VERSION) deployments/up

down: ## stop it and remove what it left: containers, networks, volumes
	@deployments/up down

build: assets ## static binaries in bin/
	@[ -x bin/noetl-gateway ] || echo "building for the first time: with empty caches this takes some minutes"
	@CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '$(LDFLAGS)' -o bin/ \
	  ./services/standalone/cmd/noetl-gateway ./services/auth/cmd/auth ./services/edge-proxy/cmd/edge-proxy \
	  ./services/event-fanout/cmd/event-fanout ./services/event-fanout/cmd/firestore-listener ./services/ingress/cmd/ingress ./services/sandbox/cmd/sandbox

dist: build ## the file systems of the images in dist/
	@deployments/docker/dist $(PROGRAMS)

images: dist ## the images of all programs, without a registry
	@deployments/docker/images $(VERSION) $(PROGRAMS)

third-party: ## the images of others: pulled, or built from source where they cannot be
	@deployments/docker/third-party auto

test: build $(GOTESTSUM) ## everything that needs no Docker: unit, conformance, component (race detector), end to end, browser
	@$(if $(RACE),,[ -z "$$CI" ] || { echo "no C compiler for the race detector"; exit 1; }; echo "race detector NOT RUN: no C compiler on this machine (Debian: apt-get install gcc)")
	@mkdir -p .cache/tests && rm -f .cache/tests/*
	@$(RUNTESTS) --jsonfile .cache/tests/1-in-process.json -- $(RACE) -timeout 20m \
	  $(filter-out $(CURDIR)/tests/...,$(PACKAGES)); unit=$$?; \
	  $(RUNTESTS) --jsonfile .cache/tests/2-programs.json -- -count=1 -timeout 20m ./tests/...; programs=$$?; \
	  go run ./tests/summary .cache/tests/*.json; exit $$((unit + programs))

e2e: build $(GOTESTSUM) ## black-box tests of the built binaries, and the browser test
	@mkdir -p .cache/tests && rm -f .cache/tests/*
	@$(RUNTESTS) --jsonfile .cache/tests/2-programs.json -- -count=1 -timeout 20m ./tests/...; programs=$$?; \
	  go run ./tests/summary .cache/tests/*.json; exit $$programs

$(GOTESTSUM):
	@mkdir -p $(TOOLS)
	@GOBIN=$(TOOLS) go install gotest.tools/gotestsum@$(lastword $(subst -, ,$(notdir $(GOTESTSUM))))
	@mv $(TOOLS)/gotestsum $(GOTESTSUM)

test-containers: images ## the images on a Docker network: main job, traces in Jaeger, faults under load, the compose stack
	@deployments/docker/third-party auto nats jaeger haproxy prometheus
	@GATEWAY_VERSION=$(VERSION) tests/in-memory go test -tags containers -count=1 -timeout 30m -v ./tests/containers | \
	  grep -a -E '^(=== RUN|--- |    --- |ok|FAIL|PASS|panic)|_test.go:|^\s+\|'; exit $${PIPESTATUS[0]}

reliability: build images third-party ## the fault tests, a million deliveries, and their figures into docs/reliability.md
	@GATEWAY_VERSION=$(VERSION) go test -tags containers -count=1 -timeout 30m -run 'TestFaults|TestDiskFull' ./tests/containers -args -write-table
	@go test -count=1 -timeout 4h -v ./tests/deliveries -args -deliveries 1000000 -deliveries-rate 400 \
	  -deliveries-kill 45s -deliveries-down 3s -deliveries-settle 10m | grep -E '^(--- |ok|FAIL|PASS|panic)|_test.go:|^\s+\|'; \
	  exit $${PIPESTATUS[0]}

check-deploy: build ## the Helm chart, the alert rules and their tests, the dashboards
	@deployments/helm/check
	@deployments/prometheus/check

dashboards: build ## the dashboards as pictures in .cache/dashboards, from 40 s of work and a real Prometheus
	@prometheus=.cache/bin/prometheus-$$(deployments/version prometheus version)/prometheus; \
	  [ -x $$prometheus ] || deployments/prometheus/build prometheus $$(dirname $$prometheus); \
	  mkdir -p .cache/dashboards && go test -count=1 -v -run '^TestDashboards$$' ./tests/dashboards -args \
	    -dashboards-folder $(CURDIR)/.cache/dashboards -dashboards-prometheus $(CURDIR)/$$prometheus | \
	  grep -E '^(--- |ok|FAIL|PASS|panic)|_test.go:'; exit $${PIPESTATUS[0]}

chart-cluster: ## the Helm chart on a real kube-apiserver, which is built once, in many minutes; IF_CACHED=1 not if it has to be
	@deployments/helm/cluster $(if $(IF_CACHED),if-cached)

check: fmt lint house vuln ## format, vet, lint, architecture rules, citations and links, known vulnerabilities

$(LINT):
	@mkdir -p $(TOOLS)
	@GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(shell cat .golangci-lint-version)
	@mv $(TOOLS)/golangci-lint $(LINT)

fmt: $(LINT) ## fail on unformatted files
	@out=$$($(LINT) fmt --diff $(MODULES)); test -z "$$out" || { echo "$$out"; exit 1; }

lint: $(LINT) ## vet, linters and the architecture rules of .golangci.yml
	@for m in $(MODULES); do (cd $$m && GOWORK=off go list -deps -test ./... >/dev/null) || \
	  { echo "$$m lacks a module of go.work: run GOWORK=off go mod tidy there"; exit 1; }; done
	@go vet $(PACKAGES)
	@$(LINT) run $(PACKAGES)

house: ## citations, links and words of our files, one place for each setting
	@go test -count=1 ./tests/house

vuln: ## govulncheck; says so when its database cannot be reached
	@for m in $(MODULES); do \
	  out=$$(cd $$m && go run golang.org/x/vuln/cmd/govulncheck@$(VULN) ./... 2>&1); code=$$?; \
	  if echo "$$out" | grep -qE 'fetching vulnerabilities'; then \
	    echo "govulncheck: NOT RUN, its vulnerability database cannot be reached from here"; exit 0; fi; \
	  if [ $$code -ne 0 ]; then echo "$$out"; exit $$code; fi; \
	done; echo "govulncheck: no known vulnerability is called"

attack: build ## hundreds of connections that make a process hold something, beside an honest client; a process of 256 MiB
	@go test -count=1 -run '^TestAttacks$$' -timeout 20m -v ./tests/attack -args -attack-run

bench: build ## the figures of docs/benchmarks.md, as ratios of one run
	@go test -run '^$$' -bench . -benchtime 2s ./libs/sessions
	@go test -count=1 -run '^TestBench' -timeout 15m -v ./tests/bench -args -bench-run

fuzz: ## every fuzz target for FUZZTIME (1m)
	@tests/fuzz-all $(or $(FUZZTIME),1m)

gen: assets ## generated Go that the build needs, and the tables of settings in the docs
	@cd services/edge-proxy/internal/httpapi/graphql && go tool gqlgen generate
	@UPDATE_GOLDEN=1 go test -count=1 -run 'TestConfigurationHolds|TestHelpOfEveryVerb' ./services/standalone/app
	@UPDATE_GOLDEN=1 go test -count=1 -run TheGuideHas ./services/edge-proxy/internal/sdk
	@UPDATE_GOLDEN=1 go test -count=1 -run 'README|Readme' ./services/{auth,edge-proxy,event-fanout,ingress,sandbox,standalone}/app

# GraphiQL's library files are fetched, embedded and never committed. Without npm the page says so.
GRAPHIQL := services/edge-proxy/internal/graphiql
assets: $(GRAPHIQL)/assets/graphiql.min.js sdk
$(GRAPHIQL)/assets/graphiql.min.js: $(GRAPHIQL)/package-lock.json
	@if command -v npm >/dev/null; then \
	  cd $(GRAPHIQL) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && \
	  cp node_modules/graphiql/graphiql.min.js node_modules/graphiql/graphiql.min.css node_modules/react/umd/react.production.min.js \
	    node_modules/react-dom/umd/react-dom.production.min.js assets/ && touch assets/graphiql.min.js; \
	else echo "npm is not installed: GET /graphql will say that GraphiQL is not part of this build"; fi

# The client library is built, embedded and never committed. Without npm the gateway cannot serve it.
CLIENT := libs/client-js
SDK    := services/edge-proxy/internal/sdk/assets
sdk: $(SDK)/gateway-client.js ## build the TypeScript client library, which the gateway serves
$(SDK)/gateway-client.js: $(filter-out %/frames.ts,$(wildcard $(CLIENT)/*.json $(CLIENT)/*/*.ts $(CLIENT)/scripts/*)) docs/api/asyncapi.yaml
	@if command -v npm >/dev/null; then \
	  cd $(CLIENT) && { [ node_modules/.package-lock.json -nt package-lock.json ] || \
	    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; } && npm run --silent build && \
	  cp dist/*.js dist/*.d.ts $(CURDIR)/$(SDK)/ && touch $(CURDIR)/$@; \
	else echo "npm is not installed: /sdk/v1 will say that the client library is not part of this build"; fi

clean: ## remove what make made
	@rm -rf bin dist .cache tests/artifacts $(GRAPHIQL)/node_modules $(GRAPHIQL)/assets/*.js $(GRAPHIQL)/assets/*.css \
	  tests/clients/node/node_modules tests/browser/axe/node_modules tests/mcp/clients/node_modules tests/clients/cli/venv $(CLIENT)/node_modules $(CLIENT)/dist $(CLIENT)/build \
	  $(CLIENT)/src/frames.ts $(SDK)/*.js $(SDK)/*.ts
