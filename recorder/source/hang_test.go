//go:build linux

package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A source that hangs is given up at its limit, not asked again while it hangs, and asked
// when it is back.
func TestSourceThatHangs(t *testing.T) {
	hold := make(chan struct{})
	asked := 0
	s := &OneOff{Name: "slow", Limit: 20 * time.Millisecond, Collect: func(context.Context, Env, *Sink) error {
		if asked++; asked == 1 {
			<-hold
		}
		return nil
	}}
	collect := func() format.Source { return CollectAll(t.Context(), Env{}, []*OneOff{s})[0].Source }
	if got := collect(); got.State != format.Failed || !strings.Contains(got.Reason, "gave nothing within 20ms") {
		t.Errorf("at its limit: %+v", got)
	}
	if got := collect(); got.State != format.Failed || !strings.Contains(got.Reason, "it hangs") {
		t.Errorf("while it hangs: %+v", got)
	}
	close(hold)
	for end := time.Now().Add(time.Minute); s.hanging.Load() > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	s.Limit = time.Minute
	if got := collect(); got.State != format.Complete || asked != 2 {
		t.Errorf("when it is back: %+v, asked %d times", got, asked)
	}
}

// What stands in place of /dev/kmsg may have no end, or be at its end: a reading ends.
func TestKernelLogThatIsNone(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"pipe":    func(path string) error { return unix.Mkfifo(path, 0o644) },
		"file":    func(path string) error { return os.WriteFile(path, []byte("6,1,1000000,-;text\n"), 0o644) },
		"endless": func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		root := t.TempDir()
		if err := errors.Join(os.Mkdir(filepath.Join(root, "dev"), 0o755), put(filepath.Join(root, "dev/kmsg"))); err != nil {
			t.Fatal(err)
		}
		k := OpenKernelLog(root, testns.Log(func(line string) { t.Log(line) }))
		k.Read(nil)
		s := k.Source(time.Now(), host.Moment{})
		if name != "endless" && s.State == format.Complete {
			t.Errorf("%s: %+v", name, s)
		}
		k.Close()
	}
}

// Settings whose reading leaves a line in the kernel log are left out; others of their kind are not.
func TestSysctlsThatAreReadInSilence(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{"ipv6/neigh/default/retrans_time", "ipv6/neigh/default/base_reachable_time",
		"ipv6/neigh/default/retrans_time_ms", "ipv6/neigh/default/base_reachable_time_ms", "ipv4/neigh/default/retrans_time"} {
		write(t, root, "proc/sys/net/"+path, "1\n")
	}
	sink := &Sink{}
	if err := collectSysctls(t.Context(), Env{Root: root}, sink); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, m := range sink.Members {
		got[m.Name] = true
	}
	kept := []string{"ipv6/neigh/default/retrans_time_ms", "ipv6/neigh/default/base_reachable_time_ms", "ipv4/neigh/default/retrans_time"}
	for _, path := range kept {
		if !got[member.StaticName("proc/sys/net/"+path)] {
			t.Errorf("%s is missing", path)
		}
	}
	if len(got) != len(kept) {
		t.Errorf("kept %v", got)
	}
}
