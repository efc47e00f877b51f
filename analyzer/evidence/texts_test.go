package evidence

import (
	"testing"
	"time"
)

func TestSnapshotNames(t *testing.T) {
	at := time.Date(2026, 11, 21, 3, 4, 5, 600, time.UTC)
	name := SnapshotName(at, "proc/net/netstat")
	if want := "snapshots/2026-11-21T03:04:05.000000600Z/proc/net/netstat"; name != want {
		t.Errorf("name %q, want %q", name, want)
	}
	got, path, ok := splitSnapshot(name)
	if !ok || got != at.UnixNano() || path != "proc/net/netstat" {
		t.Errorf("split %q: %d, %q, %v", name, got, path, ok)
	}
	for _, bad := range []string{"snapshots/x/proc/stat", "snapshots/2026-11-21T03:04:05.000000600Z", "static/proc/stat"} {
		if _, _, ok := splitSnapshot(bad); ok {
			t.Errorf("%q was taken for a snapshot", bad)
		}
	}
}
