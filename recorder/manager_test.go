//go:build linux

package recorder_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// What a service manager hears: ready once it records, signs of life while its loop goes on and
// none while it stands, its bundles, and that it stops.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	hears := func(want string) {
		t.Helper()
		word := make([]byte, 4096)
		manager.SetReadDeadline(time.Now().Add(patience))
		for {
			n, err := manager.Read(word)
			if err != nil {
				t.Fatalf("waiting for %q: %v", want, err)
			}
			if strings.Contains(string(word[:n]), want) {
				return
			}
		}
	}
	wrapper := "NOTIFY_SOCKET=" + path + ` WATCHDOG_USEC=1000000 WATCHDOG_PID=$$; export NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID; exec "$@"`
	d := start(t, testns.New(t), wrapper, "--interface", "lo", "--trigger", "syn_recv > 1000")
	hears("READY=1\nSTATUS=armed on lo by 1 triggers; 0 bundles written, 0 lost")
	hears("WATCHDOG=1")
	d.signal(unix.SIGUSR1)
	hears("STATUS=armed on lo by 1 triggers; 1 bundles written")
	d.signal(unix.SIGTERM)
	hears("STOPPING=1")
	if code := d.exits(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
