# Every target is a command that one could type as well. `make` alone lists them.

export PATH := $(PATH):/usr/sbin:/sbin
FUZZTIME ?= 30s
GOLANGCI_LINT := go tool -modfile=tools/go.mod golangci-lint

.PHONY: help quick test later cover mutants lint fmt generate fuzz bench vuln deps build

help: ## this list
	@sed -n 's/^\([a-z]*\): .*## /\1\t/p' Makefile | expand -t 9

quick: ## while working: vet and the packages' own tests, under a minute
	go vet ./...
	go test ./internal/... ./cmd/...

test: ## before a commit and in CI: everything that has to pass, end-to-end tests included
	scripts/deps.sh
	go build -buildvcs=false ./...
	go vet ./...
	scripts/gofmt.sh
	go mod tidy -diff
	$(GOLANGCI_LINT) run
	go test -race -shuffle=on ./...
	scripts/later-go.sh
	scripts/cover.sh

later: ## what only a later Go can do, with that Go, fetched as a Go module: certificates with ML-DSA
	scripts/later-go.sh

cover: ## judging, trust and header hygiene: at least 95 % of the statements, by the packages' own tests
	scripts/cover.sh

mutants: ## remove each refusal in judging, trust and header hygiene in turn: a test has to fail (PKG=internal/judge for one)
	go run ./test/mutants -pkg=$(PKG)

lint: ## the linters alone (the first run builds them)
	$(GOLANGCI_LINT) run

fmt: ## put every Go file into the form that `make test` wants
	$(GOLANGCI_LINT) fmt

generate: ## the JSON Schema and docs/configuration.md, after a change of the document's types or their comments
	go test ./internal/schema -run TestWhatIsCommitted -update

fuzz: ## every fuzz target for FUZZTIME each (30s)
	scripts/fuzz.sh $(FUZZTIME)

bench: ## every benchmark
	go test -run='^$$' -bench=. -benchmem ./...

vuln: ## known vulnerabilities that the program can reach (asks vuln.go.dev)
	go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

deps: ## install the tools that the tests call (Debian; asks for sudo)
	scripts/deps.sh install

build: ## the program, as bin/sallyport
	go build -o bin/sallyport ./cmd/sallyport
