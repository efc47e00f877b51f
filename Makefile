# make demo and make test do all the set-up on a fresh machine with Go and make.
export CGO_ENABLED = 0
# For all alike, so that nothing is compiled twice, nor again in another clone.
export GOFLAGS := $(GOFLAGS) -trimpath
STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS = -s -w -X github.com/spikebox/spikebox/cmd/internal/cli.version=$(VERSION)

.PHONY: build demo test test-vm test-hang test-hostile test-budget fuzz bench bench-armed score-triggers soak soak-vm packages test-packages test-systemd release lint generate generated cross clean
build:
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

# The main job on real input: as root on Linux a real incident, elsewhere a golden bundle.
demo: build
	@./demo.sh

# Every test that this machine allows, and what was skipped and why. SPIKEBOX_CAPTURES=DIR adds
# tests on captures that others made: see testdata/captures/README.md.
ifdef SPIKEBOX_CAPTURES
override SPIKEBOX_CAPTURES := $(abspath $(SPIKEBOX_CAPTURES))
export SPIKEBOX_CAPTURES
endif
# Never from the cache: tests build the programs, and of these it knows nothing. Those that may run side by side wait, for a recorder or
# for an incident that takes its time (3 s of CPU in some 20 s), so that there are more of them than CPUs. What go vet says is lint's.
test:
	@mkdir -p out; go test -v -count=1 -parallel 4 -vet off ./... >out/test.log 2>&1; status=$$?; \
	awk -f .ci/summary.awk out/test.log; \
	if [ $$status -ne 0 ]; then echo "the whole output is in out/test.log"; fi; exit $$status

# The probes' tests and an armed recorder on Debian's 5.10, 6.1, 6.12 and newest kernels, under
# QEMU: some minutes. Wants apt, qemu-system-x86; kernels are cached outside the tree.
test-vm:
	SPIKEBOX_TEST_VM=1 go test -v -count=1 -timeout 60m -run TestKernels ./recorder/internal/vm

# What hangs in the recorder's tests for some seconds hangs for 30 here: a few minutes.
test-hang:
	SPIKEBOX_TEST_HANG=30s go test -v -count=1 -parallel 4 -run 'Hang|NobodyReads' ./recorder

# A true load that comes and goes beside a recorder with a CPU budget between the two: what it sheds, and takes
# back. Some five minutes, at a low priority.
test-budget:
	SPIKEBOX_TEST_BUDGET_LOAD=1 nice -n 10 go test -v -count=1 -timeout 30m -run TestBudgetUnderLoad ./recorder

# The worst files that a stranger can send, at the size at which every bound is reached: the peak
# memory and time of each command. Some twenty minutes.
test-hostile:
	SPIKEBOX_TEST_HOSTILE=1 go test -v -count=1 -timeout 120m -run TestHostile ./cmd/spikebox

# Every fuzz target of the repository, FUZZTIME each, one after the other: executions of each, and
# a failure where one finds something.
FUZZTIME ?= 20s
fuzz:
	@.ci/fuzz.sh $(FUZZTIME)

# Figures as ratios against peers in the same run; peers that are missing are said.
bench:
	go test -run '^$$' -bench . -benchtime 3x -timeout 60m ./...

# What an armed recorder costs a web server, by variant and load, in pairs of windows that alternate
# (PAIRS, WINDOW, ONLY and LOADS=prefixes of their names), and what each program runs for in it. Wants root, wrk, tcpdump and a quiet machine;
# nginx is unpacked below out/, so that no server is started by installing it.
PAIRS = 20
WINDOW = 3s
bench-armed:
	@command -v wrk tcpdump >/dev/null || apt-get install -y -qq --no-install-recommends wrk tcpdump
	@command -v nginx >/dev/null || test -x out/peers/usr/sbin/nginx || \
	  { mkdir -p out/peers && cd out/peers && apt-get download -qq nginx && dpkg -x nginx_*.deb .; }
	NGINX=$$(command -v nginx || echo $(CURDIR)/out/peers/usr/sbin/nginx) SPIKEBOX_BENCH_PAIRS=$(PAIRS) SPIKEBOX_BENCH_WINDOW=$(WINDOW) \
	  SPIKEBOX_BENCH_ONLY='$(ONLY)' SPIKEBOX_BENCH_LOADS='$(LOADS)' go test -v -count=1 -timeout 5h -run 'TestArmedCost|TestProgramCost' ./recorder/internal/bench

# What the default triggers catch, miss and invent in seven days of twenty hosts, in the very code
# of recorder/trigger; the table is that of recorder/trigger/testdata/weeks.txt.
score-triggers:
	SPIKEBOX_SCORE_TRIGGERS=1 go test -v -count=1 -run TestWeeks ./recorder/trigger

# An armed recorder while everything around it comes and goes, for DURATION (1m to days): a table of what it
# holds, and a failure where that grows. Wants root; all of it is in namespaces of its own.
DURATION = 10m
soak:
	SPIKEBOX_SOAK=$(DURATION) go test -v -count=1 -timeout 0 -run 'TestSoak$$' ./recorder/internal/soak

# The same in a VM, where the clock steps, too.
soak-vm:
	SPIKEBOX_SOAK_VM=$(DURATION) go test -v -count=1 -timeout 0 -run TestSoakInVM ./recorder/internal/soak

# .deb, .rpm, container images, archives for every system, an SBOM and checksums in out/packages; the same
# commit gives the same bytes. PLATFORMS=linux/amd64 makes a part.
packages:
	packaging/packages.sh $(PLATFORMS)

# The packages: the same bytes from two clones, the .rpm in a fresh root, the image as Kubernetes runs it. Wants root,
# rpm, mmdebstrap, skopeo and capsh; some minutes.
test-packages:
	packaging/same-bytes.sh linux/amd64
	packaging/packages.sh linux/amd64 >/dev/null
	packaging/rpm-root.sh
	packaging/image-root.sh

# The .deb on a real Debian with systemd in a VM: from nothing to armed, fired, reloaded, killed, hung
# and removed; then over an older one and back. Wants root, mmdebstrap, cpio and qemu-system-x86; some minutes.
test-systemd:
	packaging/packages.sh linux/amd64 >/dev/null
	packaging/systemd-vm.sh
	packaging/upgrade-vm.sh

# What a release must pass: refuses with the first item that does not. Some hours; ITEMS='tree tag' walks a part.
release:
	packaging/release.sh $(ITEMS)

lint:
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...

# Needs clang and libbpf-dev; the generated objects are committed.
generate:
	go generate ./bpf

generated: generate
	git diff --exit-code --stat -- bpf

# Each system and each processor once, besides this one's; make packages builds all pairs.
cross:
	for at in linux/arm64 darwin/arm64 windows/amd64; do \
	  GOOS=$${at%/*} GOARCH=$${at#*/} go build -o /dev/null ./cmd/spikebox || exit 1; done
	GOOS=linux GOARCH=arm64 go build -o /dev/null ./cmd/spikeboxd

clean:
	rm -rf bin out
