# Go and make are enough for run, build, test and laws. Lint and generate build
# their pinned tools from the module cache; race needs a C compiler.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c

BUF      := go tool -modfile=tools/buf.mod buf
GOLANGCI := go tool -modfile=tools/lint.mod golangci-lint
GOFUMPT  := go tool -modfile=tools/lint.mod gofumpt
STAT     := go tool -modfile=tools/bench.mod benchstat

VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TEST_LIMIT   ?= 25m
SOAK         ?= 60s
SOAK_LIMIT   ?= 30m
OPS          ?= 2000000
STRESS_LIMIT ?= 60m
FUZZTIME     ?= 100000x
BENCH        ?= .
COUNT        ?= 1
DIR          ?=

# What the proto files may not break: main's last commit, and the last release.
MAIN     ?= main
RELEASE  ?= $(shell git describe --tags --abbrev=0 --match 'v*' 2>/dev/null)

# Written and compared by verify.
GENERATED := gen docs

.DEFAULT_GOAL := help
.PHONY: help run build test race lint laws generate verify breaking conformance bench benchstat soak stress fuzz clients all clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# exec, so that what ends make ends usher.
run: build ## serve a demo pool on this machine
	@exec bin/usher serve --demo

build: ## build one static binary, bin/usher
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/usher ./cmd/usher

test: ## run all tests; Go alone is enough
	CGO_ENABLED=0 go test -timeout $(TEST_LIMIT) ./...

race: ## run all tests under the race detector; needs a C compiler
	CGO_ENABLED=1 go test -timeout $(TEST_LIMIT) -race ./...

lint: ## check formatting, Go code and proto files
	@out="$$($(GOFUMPT) -l .)"; if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi
	$(GOLANGCI) config verify
	$(GOLANGCI) run ./...
	$(BUF) lint
	$(BUF) format -d --exit-code

laws: ## check the rules of the house
	go run ./tools/laws

generate: ## write gen and the generated pages of docs
	$(BUF) generate
	go generate ./...

verify: generate breaking ## fail if what is generated or go.mod is out of date, or the API broke
	git diff --exit-code -- $(GENERATED)
	@new="$$(git ls-files --others --exclude-standard -- $(GENERATED))"; \
	if [ -n "$$new" ]; then echo "generated but not committed:"; echo "$$new"; exit 1; fi
	go mod tidy -diff

breaking: ## compare the proto files with main's last commit and the last release
	@for ref in $(MAIN) $(RELEASE); do \
	  if git cat-file -e "$$ref:proto" 2>/dev/null; then \
	    echo "buf breaking against $$ref"; \
	    rm -rf bin/against && mkdir -p bin/against && git archive "$$ref" proto buf.yaml | tar -x -C bin/against || exit 1; \
	    $(BUF) breaking --against bin/against || exit 1; \
	  else echo "buf breaking: no proto files in $$ref"; fi; \
	done

conformance: ## replay the recorded cases; DIR=/abs/path for others than the project's own
	@USHER_CONFORMANCE_DIR='$(DIR)' go test ./core/... -run '^TestConformance$$' -count=1 -v 2>&1 | \
	  grep -vE '^(=== RUN|--- PASS|PASS$$|ok  |\?   |testing: warning: no tests to run)'

bench: ## run the benchmarks; BENCH=regexp COUNT=n, result in bin/bench.txt
	@mkdir -p bin
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./... | tee bin/bench.txt

benchstat: ## compare bin/old.txt with bin/bench.txt
	$(STAT) bin/old.txt bin/bench.txt

soak: ## run each soak test for SOAK (60s)
	USHER_SOAK=$(SOAK) go test ./cmd/... -run 'TestSoak' -count=1 -v -timeout $(SOAK_LIMIT)

# In the first half the detector watches core and its clients, in the second a whole
# usher; its clients there are not watched, which leaves the machine to the usher.
stress: ## do OPS (2000000) operations in core and again over cut connections, under the race detector, and beside the model
	USHER_MIXED_OPS=$(OPS) CGO_ENABLED=1 go test -race ./core -run '^TestMixedOperations$$' -count=1 -v -timeout $(STRESS_LIMIT)
	USHER_MODEL_ROUNDS=$$(( $(OPS) / 4000 )) go test ./core -run '^TestAgainstModel$$' -count=1 -v -timeout $(STRESS_LIMIT)
	USHER_SOAK_OPS=$(OPS) USHER_RACE_BINARY=1 CGO_ENABLED=1 go test ./cmd/usher -run '^TestSoak$$' -count=1 -v -timeout $(STRESS_LIMIT)

# By count, since Go before 1.27 may call the end of a time a failure (go.dev/issue/75804).
fuzz: ## run each fuzz target FUZZTIME (100000x) times
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u); do \
	  for name in $$(go test -list '^Fuzz' "$$dir" | grep '^Fuzz'); do \
	    echo "$$dir $$name"; \
	    go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$dir"; \
	  done; \
	done

clients: build ## run the Node and Python example clients against the binary
	USHER_BIN=$(CURDIR)/bin/usher docs/client/run.sh

all: lint laws test verify ## all that a change must pass on any machine

clean: ## remove what was built
	rm -rf bin
