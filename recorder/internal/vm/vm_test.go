//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

const (
	root   = "github.com/spikebox/spikebox/"
	daemon = "/bin/spikeboxd" // in the VM
)

// TestKernels runs the probes' own tests and those of the dumps of sockets, and a recorder armed and told to cut, on each
// kernel. It takes minutes and wants package sources: make test-vm asks for it.
func TestKernels(t *testing.T) {
	if os.Getenv("SPIKEBOX_TEST_VM") == "" {
		t.Skip("needs VMs, and some minutes: run make test-vm")
	}
	dir := t.TempDir()
	probes, self, recorder := filepath.Join(dir, "probe.test"), filepath.Join(dir, "vm.test"), filepath.Join(dir, "spikeboxd")
	compile(t, "test", "-c", "-o", probes, root+"recorder/probe")
	sockets := filepath.Join(dir, "sockdiag.test")
	compile(t, "test", "-c", "-o", sockets, root+"recorder/internal/sockdiag")
	compile(t, "test", "-c", "-o", self, root+"recorder/internal/vm")
	compile(t, "build", "-o", recorder, root+"cmd/spikeboxd")
	for _, target := range Targets {
		t.Run(target.Name, func(t *testing.T) {
			k := find(t, target)
			t.Run("recorder", func(t *testing.T) {
				boot(t, k, Payload{Binary: self, Args: []string{"-test.run=InVM$"},
					Files: map[string]string{daemon: recorder}})
			})
			t.Run("sockets", func(t *testing.T) { boot(t, k, Payload{Binary: sockets}) })
			t.Run("probes", func(t *testing.T) { boot(t, k, Payload{Binary: probes}) })
		})
	}
}

func compile(t *testing.T, args ...string) {
	t.Helper()
	build := exec.Command("go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64") // as the VM
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
}

func find(t *testing.T, target Target) *Kernel {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	k, err := Find(ctx, target)
	if unavailable, ok := errors.AsType[*Unavailable](err); ok {
		t.Skipf("NOT TESTED: %v", unavailable)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func boot(t *testing.T, k *Kernel, p Payload) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	p.Args = append(p.Args, "-test.v", "-test.timeout=14m")
	p.Env = []string{"CI=true", "SPIKEBOX_TEST_VM=1"}
	p.Modules = []string{"tun", "veth", "bonding", "sch_netem", "tcp_diag", "nf_conntrack", "nf_conntrack_netlink"}
	p.Memory = 1024
	start := time.Now()
	var out bytes.Buffer
	code, err := k.Run(ctx, p, &out)
	text := strings.ReplaceAll(out.String(), "\r", "")
	t.Logf("kernel %s, %v:\n%s", k.Release, time.Since(start).Round(time.Second), text)
	if err != nil || code != 0 {
		t.Errorf("kernel %s: exit code %d, %v", k.Release, code, err)
	}
	if strings.Contains(text, "--- SKIP") {
		t.Errorf("kernel %s: tests were skipped, where nothing is missing", k.Release)
	}
}

func TestArchiveIsNewc(t *testing.T) {
	var out bytes.Buffer
	a := newArchive(&out)
	a.file("/a/b/c", 0o644, []byte("hello"))
	a.console("dev/console")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	if out.Len()%4 != 0 {
		t.Errorf("%d bytes, want a multiple of 4", out.Len())
	}
	var names []string
	for rest := out.Bytes(); len(rest) >= 110; {
		if string(rest[:6]) != "070701" {
			t.Fatalf("no magic at byte %d", out.Len()-len(rest))
		}
		size, nameLen := hex(t, rest[54:62]), hex(t, rest[94:102])
		names = append(names, string(rest[110:110+nameLen-1]))
		rest = rest[(110+nameLen+3)&^3+(size+3)&^3:]
	}
	if got := strings.Join(names, " "); got != "a a/b a/b/c dev/console TRAILER!!!" {
		t.Errorf("entries %s", got)
	}
}

func TestArchiveOfMissingFile(t *testing.T) {
	a := newArchive(&bytes.Buffer{})
	a.copy("/x", filepath.Join(t.TempDir(), "absent"))
	if err := a.close(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("archive of a missing file: %v", err)
	}
}

func TestTSC(t *testing.T) {
	guest := "processor\t: 0\ncpu MHz\t\t: 2596.128\nflags\t\t: fpu tsc constant_tsc tsc_known_freq sse2 hypervisor lahf_lm\n"
	for cpuinfo, want := range map[string]string{
		guest: " tsc_early_khz=2596128",
		strings.ReplaceAll(guest, " hypervisor", ""):     "", // its MHz are what the CPU has just now
		strings.ReplaceAll(guest, " tsc_known_freq", ""): "",
		"": "",
	} {
		if got := tscOf(cpuinfo); got != want {
			t.Errorf("%q gives %q, want %q", cpuinfo, got, want)
		}
	}
}

func hex(t *testing.T, digits []byte) (n int) {
	t.Helper()
	for _, d := range bytes.ToLower(digits) {
		n = n<<4 + strings.IndexByte("0123456789abcdef", d)
	}
	return n
}
