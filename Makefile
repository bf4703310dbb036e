# fairlead: make help
GO ?= go
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 10s
SOAK ?= 30m
VERSION ?= $(shell git describe --tags --always 2>/dev/null | sed 's/^v//; s/^[^0-9]/0~&/')
ARGS ?=

.PHONY: help build page run demo test check fmt vet fix lint arch race tidy fuzz soak walk deb release size curves

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

build: page ## bin/fairlead, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/fairlead ./cmd/fairlead

PAGE := $(wildcard bridge/page/src/*) bridge/page/index.html bridge/page/package-lock.json bridge/page/vite.config.js
page: ## the relay's page, where Node is present; without it the binary says how to get it
	@if ! command -v npm >/dev/null; then echo "no Node here: bin/fairlead comes without the page"; \
	elif [ -z "$$(find $(PAGE) -newer bridge/page/built/index.html 2>&1)" ]; then :; \
	elif cd bridge/page && npm ci --silent --no-audit --no-fund --fetch-retries=1 --fetch-timeout=20000 && npm run --silent build >/dev/null; then :; \
	else echo "the page could not be built: bin/fairlead comes without it"; fi

run: build ## the relay, with ARGS="--flag …"
	./bin/fairlead relay $(ARGS)

demo: build ## a clip through a lossy link as SRT and as fairlead, side by side: prints a URL to watch
	./bin/fairlead demo $(ARGS)

test: ## every test; a missing program is a SKIP that says why
	$(GO) test -count=1 -parallel 8 -timeout 30m ./...

check: fmt vet fix lint arch race tidy ## what every commit passes

fmt:
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); test -z "$$out" || { echo "gofmt: $$out"; exit 1; }

vet:
	$(GO) vet ./...

fix:
	@out=$$($(GO) fix -diff ./... 2>&1); test -z "$$out" || { echo "$$out"; exit 1; }

lint:
	$(GO) run $(STATICCHECK) ./...

arch:
	$(GO) test -count=1 ./cmd/archtest

race: ## the short tests with the race detector: no real programs, nothing that a compiler beside it could disturb
	$(GO) test -race -short -timeout 30m ./...

tidy:
	$(GO) mod tidy -diff

fuzz: ## every fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$p || exit 1; \
	  done; \
	done

soak: ## a relay under load for SOAK, then 30 hours of frames in virtual time: nothing may grow
	$(GO) test -count=1 -v -timeout 0 -run 'TestSoak$$' ./cmd/fairlead -soak $(SOAK)
	$(GO) test -count=1 -v -run 'TestHoursOfFrames$$' ./bridge/hub -hours 30

walk: build ## a new operator's first minutes, each timed
	$(GO) test -count=1 -v -timeout 20m -run 'TestWalk$$' ./cmd/fairlead -walk

deb: build ## out/release/fairlead_VERSION_ARCH.deb of this machine's binary
	cmd/fairlead/package/deb.sh bin/fairlead "$(VERSION)" "$$(dpkg --print-architecture)" out/release

release: page ## out/release: binaries for every system, Debian packages, bill of materials, checksums
	cmd/fairlead/package/release.sh "$(VERSION)"

size: ## bytes of a program that uses only transport/uplink, stripped, arm64
	@mkdir -p out/size
	@printf 'package main\n\nimport "github.com/fairlead-live/fairlead/transport/uplink"\n\nfunc main() { _, _ = uplink.Dial("fairlead://x/a/b", nil) }\n' > out/size/main.go
	@CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -trimpath -ldflags='-s -w' -o out/size/uplink ./out/size
	@wc -c < out/size/uplink; rm -r out/size

curves: ## draw docs/congestion again: rate and queue over time, to be reviewed like code
	$(GO) test -count=1 -run TestCurvesAreCurrent ./bench/cc -curves
