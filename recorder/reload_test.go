//go:build linux

package recorder_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A recorder whose file is edited takes the new triggers, tells what waits for a restart, and
// has lost nothing of what it recorded before. A file that is wrong changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "spikeboxd.conf")
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("trigger syn_recv > 1000", "ring 8MiB")
	d := start(t, testns.New(t), "", "--config", file, "--interface", "lo")
	d.says("armed on lo: syn_recv > 1000;", 1)
	armed := d.status()

	write("trigger syn_recv > 1000", "trigger nonsense", "trigger rtt > 1s", "cooldown soon")
	d.signal(unix.SIGHUP)
	d.says("ERROR reload: "+file+`:4: duration "soon"`, 1)
	d.says("the configuration was not reloaded; it is armed as before", 1)
	write("trigger syn_recv > 1000", "trigger nonsense", "trigger rtt > 1s")
	d.signal(unix.SIGHUP)
	d.says(`ERROR reload: parse trigger "nonsense"`, 1)
	d.says(`unknown vital "rtt"`, 1)
	if s := d.status(); !slices.Equal(s.Triggers, armed.Triggers) {
		t.Errorf("a wrong file changed the triggers to %q", s.Triggers)
	}

	write("trigger syn_recv > 1000", "trigger resets > 5000", "ring 16MiB", "before 12s", "keep 3")
	d.signal(unix.SIGHUP)
	d.says("WARN  what takes a restart stays as it was: --before, --ring", 1)
	d.says("armed on lo: syn_recv > 1000, resets > 5000; 30s before", 1)
	s := d.status()
	if want := []string{"syn_recv > 1000", "resets > 5000"}; !slices.Equal(s.Triggers, want) {
		t.Errorf("triggers %q, want %q", s.Triggers, want)
	}
	if !s.Armed.Equal(armed.Armed) || s.PID != armed.PID {
		t.Errorf("it began anew: armed %v, before %v", s.Armed, armed.Armed)
	}
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	m := d.bundle().Manifest
	if got := m.Config["keep"].Text + " " + m.Config["ring"].Text; got != "3 8MiB" {
		t.Errorf("the manifest has keep and ring %s, want 3 8MiB", got)
	}
}
