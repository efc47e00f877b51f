//go:build linux

package recorder

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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

func TestTightMemory(t *testing.T) {
	if text := tight(24<<20, 6<<20); !strings.Contains(text, "limited to 24.0 MiB") {
		t.Errorf("24 MiB: %q", text)
	}
	if text := tight(128<<20, 32<<20); text != "" {
		t.Errorf("128 MiB: %s", text)
	}
}
