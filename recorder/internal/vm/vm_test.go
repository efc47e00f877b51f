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

// TestProbesOnKernels runs the probes' own tests on each kernel. It takes minutes and
// wants package sources: make test-vm asks for it.
func TestProbesOnKernels(t *testing.T) {
	if os.Getenv("SPIKEBOX_TEST_VM") == "" {
		t.Skip("boots four kernels for some minutes: run make test-vm")
	}
	binary := filepath.Join(t.TempDir(), "probe.test")
	build := exec.Command("go", "test", "-c", "-o", binary, "github.com/spikebox/spikebox/recorder/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build probe tests: %v\n%s", err, out)
	}
	for _, target := range Targets {
		t.Run(target.Name, func(t *testing.T) { onKernel(t, target, binary) })
	}
}

func onKernel(t *testing.T, target Target, binary string) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	k, err := Find(ctx, target)
	if unavailable, ok := errors.AsType[*Unavailable](err); ok {
		t.Skipf("NOT TESTED: %v", unavailable)
	}
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var out bytes.Buffer
	code, err := k.Run(ctx, Payload{
		Binary:  binary,
		Args:    []string{"-test.v", "-test.timeout=14m"},
		Env:     []string{"CI=true", "SPIKEBOX_TEST_VM=1"},
		Modules: []string{"tun", "veth"},
		Memory:  1024,
	}, &out)
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

func hex(t *testing.T, digits []byte) (n int) {
	t.Helper()
	for _, d := range bytes.ToLower(digits) {
		n = n<<4 + strings.IndexByte("0123456789abcdef", d)
	}
	return n
}
