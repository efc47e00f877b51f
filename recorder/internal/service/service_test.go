//go:build linux

package service

import (
	"slices"
	"testing"
)

// A child speaks to the service manager for nobody; the rest of the environment is its, too.
func TestEnviron(t *testing.T) {
	for name, kept := range map[string]bool{
		"NOTIFY_SOCKET": false, "WATCHDOG_USEC": false, "WATCHDOG_PID": false, "LISTEN_FDS": false, "LISTEN_PID": false, "LISTEN_FDNAMES": false,
		"SPIKEBOXD_FLAG_KEEP": true, "JOURNAL_STREAM": true, "MY_NOTIFY_SOCKET": true,
	} {
		t.Setenv(name, "x")
		if got := slices.Contains(Environ(), name+"=x"); got != kept {
			t.Errorf("%s is there: %v", name, got)
		}
		if slices.Contains(Environ("JOURNAL_", "SPIKEBOXD_FLAG_", "MY_"), name+"=x") {
			t.Errorf("%s is there, which is not wanted", name)
		}
	}
}
