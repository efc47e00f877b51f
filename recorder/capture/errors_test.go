//go:build linux

package capture

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Without CAP_NET_RAW, one sentence names the capability.
func TestNoCapability(t *testing.T) {
	testns.Run(t, func() {
		runtime.LockOSThread() // a thread has its own capabilities; this one ends with f
		if err := dropCapabilities(unix.CAP_NET_RAW); err != nil {
			t.Error(err)
			return
		}
		_, err := OpenSet(SetConfig{Way: TPacket, Interfaces: []string{"lo"}, Bytes: 1 << 20})
		var open *OpenError
		if !errors.As(err, &open) || !errors.Is(err, unix.EPERM) {
			t.Errorf("got %v", err)
			return
		}
		if want := "open packet socket on lo: operation not permitted"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		if !strings.Contains(open.Hint(), "CAP_NET_RAW") {
			t.Errorf("hint %q", open.Hint())
		}
	})
}

// dropCapabilities takes them from the calling thread.
func dropCapabilities(caps ...uint) error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, unsafe.SliceData(d[:])); err != nil {
		return err
	}
	for _, c := range caps {
		d[c/32].Effective &^= 1 << (c % 32)
	}
	return unix.Capset(&h, unsafe.SliceData(d[:]))
}

// A ring that cannot fit is refused before the kernel tries and its OOM killer helps.
func TestTooLargeRing(t *testing.T) {
	testns.Run(t, func() {
		_, err := OpenSet(SetConfig{Way: TPacket, Interfaces: []string{"lo"}, Bytes: 1 << 42})
		var open *OpenError
		if !errors.As(err, &open) || !errors.Is(err, unix.ENOMEM) || !strings.Contains(open.Hint(), "--ring") {
			t.Errorf("got %v", err)
		}
	})
}

func TestTooSmallRing(t *testing.T) {
	testns.Run(t, func() {
		for _, names := range [][]string{{"lo"}, nil} {
			_, err := OpenSet(SetConfig{Way: TPacket, Interfaces: names, Bytes: 100_000})
			if len(names) > 0 && (err == nil || !strings.Contains(err.Error(), "larger --ring")) {
				t.Errorf("%v: got %v", names, err)
			}
		}
	})
}
