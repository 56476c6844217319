# make          the commands, in ./bin
# make test     all tests; as root it first installs the Debian packages they need
# make debug-kernel  a kernel's debug package for more of them: 300 MB, kept in the cache
# make generate what go generate writes: the index of the library, docs/errors, …
# make determinism   compilers for other machines write the same bytes
# make differential  100,000 random programs, kernel against interpreter; root, hours
# make fuzz      each fuzz target for a minute, on inputs that no run had before (FUZZTIME=seconds)
# make examples runs SystemTap's example scripts, here and in guests, and counts them
# make bench     what everything costs, beside bpftrace and others: bench/RESULTS.md
# make bench-reference  known numbers of calls, a million in a second, against what scripts count
# make bench-guest  instructions per hit of a probe in guests: the same on any machine
# make test-editors  real editors, and the protocol's own client, against staplsp
# make vsix     the extension for VS Code with the server inside, in build/ (VSIX=all: for all platforms)
# make test-vscode  real VS Code in a browser against it: 700 MB, kept in the cache
# make packages Debian packages; make test-packages installs them in a clean chroot
# make test-arm64 the scripts of all families on Debian's kernels for arm64, emulated
# make lint     gofmt, go vet, staticcheck, stapfmt, staplint

GO ?= go
export CGO_ENABLED = 0

# What tests need beside Go: SystemTap's library and examples as a corpus to
# read, a C compiler and SDT headers for programs to trace, and the tools whose
# answers ours are held against.
DEBS = systemtap-common systemtap-doc bpftool strace gcc libc6-dev systemtap-sdt-dev binutils openssh-client pre-commit qemu-system-x86 xz-utils zstd lz4 neovim openssh-server tmux libc6-dbg zsh fish mandoc

# What the commands tell as their version.
VERSION ?= $(shell sed -n 's/^var Version = "\(.*\)"/\1/p' cli/version.go)

COMMANDS := $(patsubst cmd/%/main.go,%,$(wildcard cmd/*/main.go))

.PHONY: all build test test-guests test-arm64 test-editors test-vscode client vsix vsix-tools differential determinism fuzz bench bench-debs bench-guest bench-reference bench-smoke debs guests debug-kernel examples generate man manual pictures walk completions release packages test-packages lint clean
all: build

# With the flags of go run and go test, so that these find compiled what this compiles;
# releases are built without paths (internal/release).
build:
	@mkdir -p bin
	$(foreach c,$(COMMANDS),$(GO) build -ldflags='-s -w' -o bin/$(c) ./cmd/$(c) &&) true

# Without a network there are no guests; their tests are then skipped. Tests share the
# machine's kernel, processors and clock with each other: packages that fail beside the
# others are tested once more alone, which is told.
test: debs client
	-@$(MAKE) --no-print-directory guests
	@mkdir -p build
	@echo '$(GO) test ./...'; { $(GO) test -timeout 40m ./... 2>&1; echo "status $$?" >build/test.status; } | tee build/test.log; \
	grep -qx 'status 0' build/test.status && exit 0; \
	failed=$$(awk '$$1 == "FAIL" && $$2 ~ "/" && !/build failed|setup failed/ {print $$2}' build/test.log | sort -u); \
	if [ -z "$$failed" ] || grep -qE '\[(build|setup) failed\]' build/test.log; then exit 1; fi; \
	echo "--- once more, alone:" $$failed; \
	$(GO) test -count=1 -p 1 -timeout 40m $$failed

test-editors: debs client
	EDITS=5000 $(GO) test -count=1 -v ./internal/editors

# The protocol's client library that a test uses; without a network or npm it is skipped.
client:
	-@if command -v npm >/dev/null; then \
	  cd internal/editors/protocol && { [ -d node_modules ] || npm ci --ignore-scripts --no-audit --no-fund --silent; }; fi

# The extension for VS Code; the network is needed once, for what builds it.
vsix: vsix-tools
	node editors/vscode/pack.mjs $(VSIX)

vsix-tools:
	@command -v npm >/dev/null || { echo 'make: the extension is built with npm and Node.js 20 or newer, which are not here'; exit 1; }
	@cd editors/vscode && { [ -d node_modules ] || npm ci --ignore-scripts --no-audit --no-fund --silent; }

# Its grammar, its types and its command lines; then VS Code itself with a browser. What
# the machine or the network has not is told, and no failure.
test-vscode:
	@internal/editors/vscode/test.sh

# What is run in guests beside internal/guest: system calls, recorded cases, library,
# random programs. On an idle machine a quarter of an hour, and the families as long again.
test-guests: debs guests
	STAPKIT_KERNELS=all $(GO) test -p 1 -timeout 60m ./internal/e2e ./internal/golden ./compile/ebpf ./tapsets -run Guest

# Debian's kernels for arm64 in emulated machines: scripts of all families run there, and
# the tests with programs to trace; half an hour on an idle machine. A release has what
# build/arm64.txt tells of it, which is there when all of them passed.
test-arm64:
	@$(MAKE) --no-print-directory debs DEBS="qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross systemtap-sdt-dev"
	$(GO) run ./internal/guest/fetch -foreign
	@mkdir -p build && rm -f build/arm64.txt && echo "stapkit $(COMMIT) on arm64" >build/arm64.part
	STAPKIT_KERNELS=all STAPKIT_REPORT=$(CURDIR)/build/arm64.part $(GO) test -p 1 -count=1 -timeout 4h -v ./internal/guest ./internal/e2e -run TestArm64
	@[ "$$(wc -l <build/arm64.part)" -gt 1 ] || { echo 'make: nothing was tested: no guests'; exit 1; }
	@mv build/arm64.part build/arm64.txt && cat build/arm64.txt

# Compilers made for other machines write the same bytes: 386, and arm64 by qemu-user.
determinism:
	$(MAKE) --no-print-directory debs DEBS=qemu-user-static
	STAPKIT_CROSS=1 $(GO) test -count=1 -run TestSameBytes -v ./cmd/stapc

# Random programs in the kernel and on the interpreter, a hundred thousand of them:
# hours. It goes on where it was interrupted; docs/differential.md has the last result.
# N, BATCH, WRAP change it; the short run is part of the tests of compile/ebpf.
N ?= 100000
BATCH ?= 2000
differential:
	$(GO) run ./internal/differential/run -n $(N) -batch $(BATCH) -wrap '$(WRAP)'

# What it finds is kept below the package's testdata/fuzz, to be mended and committed.
fuzz:
	FUZZTIME=$${FUZZTIME:-60} .ci/fuzz

# What benchmarks compare with, where Debian has it.
BENCH_DEBS = gcc libc6-dev systemtap-sdt-dev clang bpftrace systemtap strace linux-perf shfmt systemtap-common systemtap-doc

bench-debs:
	-@$(MAKE) --no-print-directory debs DEBS="$(BENCH_DEBS)"

# Twenty minutes at most, on an idle machine. Needs root.
bench: bench-debs
	$(GO) run ./bench/native

# Every benchmark once, so that none of them rots.
bench-smoke:
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 10m $$(git grep -l '^func Benchmark' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's,^,./,')
	$(GO) run ./bench/native -smoke

# Three minutes; needs root. The short form is TestReference of internal/e2e.
bench-reference: debs
	$(GO) run ./bench/reference -write

bench-guest: bench-debs debs guests
	$(GO) run ./bench/guest

debs:
	@missing=; \
	for p in $(DEBS); do \
	  dpkg-query -W -f='$${db:Status-Status}\n' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then \
	  echo "make: this is no Debian system. Tests that need these packages are skipped:$$missing"; \
	elif [ "$$(id -u)" != 0 ]; then \
	  echo "make: not root, so these packages are not installed:$$missing"; \
	  echo "make: tests that need them are skipped. To install them: sudo apt-get install$$missing"; \
	else \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get -qq update && apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $$missing </dev/null; \
	fi

# Kernels that tests boot as guests: downloaded once, not installed.
guests:
	@if command -v qemu-system-x86_64 >/dev/null; then $(GO) run ./internal/guest/fetch; fi

# Each runs for two seconds on the first kernel that takes it; what they print is in
# build/examples, the table of all in docs/examples.md. Some ask for places in source files,
# which take the debug packages of the kernels.
examples: DEBUG = all
examples: debs guests debug-kernel
	$(GO) run ./internal/examples/run -out build/examples -doc docs/examples.md

# The debug package of one of them (300 MB; DEBUG=all: of all), for tests of places that
# only debugging information tells; they are skipped without it.
DEBUG ?= 6.1
debug-kernel:
	$(GO) run ./internal/guest/fetch -debug $(DEBUG)

generate:
	$(GO) generate ./...

# The manual for man(1): commands and library; and the completions of shells.
man:
	$(GO) run ./internal/gen/tapsetdocs -man build/man/man3
	$(GO) run ./internal/gen/commands -man build/man -version "$(VERSION)"

# The README on a fresh machine, recorded: docs/walk.md and docs/walk.cast. Needs root
# and debootstrap; WRAP is put before commands that run scripts.
walk:
	@$(MAKE) --no-print-directory debs DEBS="debootstrap"
	$(GO) run ./internal/walk -wrap "$(WRAP)"

# Pictures of the live view in the manual, from its tests: look at them.
pictures: debs
	@mkdir -p docs/images
	STAPKIT_PICTURES=$(CURDIR)/docs/images $(GO) test -count=1 ./cmd/stapmon -run 'TestTop|TestMonitor'

# The manual in HTML, with search: build/manual/index.html.
manual:
	$(GO) run ./internal/gen/manual -out build/manual

COMMIT = $(shell git describe --always --dirty --abbrev=40 --exclude='*')

# Static archives for all systems, checksums, list of parts, and with KEY=file the
# checksums' signature. The same sources and Go give the same bytes. The result of
# test-arm64 goes with them; ARM64=no leaves it out, as ONLY does.
release:
	@[ -n "$(ONLY)" ] || [ "$(ARM64)" = no ] || grep -qsx "stapkit $(COMMIT) on arm64" build/arm64.txt || $(MAKE) --no-print-directory test-arm64
	$(GO) run ./internal/release -version "$(VERSION)" -epoch "$$(git log -1 --format=%ct)" $(if $(KEY),-key "$(KEY)") \
	  $(if $(ONLY),-only "$(ONLY)",$(if $(filter no,$(ARM64)),,-arm64 build/arm64.txt))

# Debian packages: stapkit-loader, which is staprun alone, and stapkit. test-packages
# installs and removes them in a clean chroot; it needs root and debootstrap.
packages:
	packaging/debian/build build/packages "$(VERSION)"

test-packages: packages
	@command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends debootstrap </dev/null
	packaging/debian/test build/packages

completions:
	$(GO) run ./internal/gen/commands -completions build/completions

lint:
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$bad" ]; then echo "not as gofmt has it:"; echo "$$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) run ./cmd/stapfmt --check tapsets examples
	$(GO) run ./cmd/staplint examples

clean:
	rm -rf bin build
