//go:build linux

package recorder

import (
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// A limit that this process may raise itself is none; one that it may not is told before the runtime runs into it.
func TestAddressSpace(t *testing.T) {
	const ring = 64 << 20
	raised := func(unix.Rlimit) error { return nil }
	for _, c := range []struct {
		cur, max uint64
		raise    func(unix.Rlimit) error
		fine     bool
	}{
		{unix.RLIM_INFINITY, unix.RLIM_INFINITY, nil, true},
		{addressSpace + ring, addressSpace + ring, nil, true},
		{1 << 30, unix.RLIM_INFINITY, raised, true},
		{1 << 30, unix.RLIM_INFINITY, func(unix.Rlimit) error { return unix.EPERM }, false},
		{1 << 30, 1 << 30, nil, false},
	} {
		err := enoughAddresses(unix.Rlimit{Cur: c.cur, Max: c.max}, ring, c.raise)
		if (err == nil) != c.fine {
			t.Errorf("%d of at most %d: %v", c.cur, c.max, err)
		}
	}
}

// Rings that would make the kernel kill for memory are not tried, by doctor either: one of 900 GiB, which was spread over 800 interfaces,
// took 21 GiB of 24 before any of them failed.
func TestGreedyRings(t *testing.T) {
	if err := greedy(24<<30, 8<<30); err != nil {
		t.Errorf("a third: %v", err)
	}
	err := greedy(24<<30, 8<<30+1)
	if err == nil || !strings.Contains(err.Error(), "want at most a third of this host's memory of 24.0 GiB") {
		t.Errorf("more than a third: %v", err)
	}
	cfg := Config{Root: "/", RingBytes: 900 << 30, Log: slog.New(slog.DiscardHandler)}
	if err := cfg.limits(); err == nil || !strings.Contains(err.Error(), "use rings of 900.0 GiB") {
		t.Errorf("armed with rings of 900 GiB: %v", err)
	}
	s := Survey{}
	s.packets(cfg)
	if got := s.Sources[0]; got.State != format.Failed || !strings.Contains(got.Reason, "use rings of 900.0 GiB") {
		t.Errorf("doctor tried them: %+v", got.Source)
	}
}

// As many descriptors are free as a bundle and those who ask take.
func TestEnoughOpenFiles(t *testing.T) {
	if err := enoughOpenFiles(1024, 1024-openFilesLeft); err != nil {
		t.Errorf("%d left: %v", openFilesLeft, err)
	}
	if err := enoughOpenFiles(1024, 1024-openFilesLeft+1); err == nil {
		t.Errorf("%d left are enough", openFilesLeft-1)
	}
}

func TestTightMemory(t *testing.T) {
	if text := tight(24<<20, 6<<20); !strings.Contains(text, "limited to 24.0 MiB") {
		t.Errorf("24 MiB: %q", text)
	}
	if text := tight(128<<20, 32<<20); text != "" {
		t.Errorf("128 MiB: %s", text)
	}
}
