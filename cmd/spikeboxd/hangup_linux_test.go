package main

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/cmd/internal/clitest"
)

// Who starts a recorder at a terminal may have it read its file again, and ends it by closing the terminal, whether there is a file or
// not: nobody would know of one that went on.
func TestTerminalIsClosed(t *testing.T) {
	t.Parallel()
	if !canCapture() {
		t.Skip("arming needs CAP_NET_RAW: run make test as root")
	}
	dir := t.TempDir()
	file, log := filepath.Join(dir, "spikeboxd.conf"), filepath.Join(dir, "log")
	if err := os.WriteFile(file, []byte("trigger resets > 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, unix.SIGHUP) // tests that nohup(1) started have it ignored, and what they start as well
	defer signal.Stop(heard)
	master, slave := clitest.Terminal(t)
	cmd := exec.Command("spikeboxd", "--config", file, "--dry-run", "--interface", "lo", "--ring", "8MiB", "--dir", dir, "--control=")
	cmd.Stdin, cmd.Stderr = slave, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // as at a login
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	defer cmd.Process.Kill()
	says := func(want string) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if regexp.MustCompile(want).Match(text) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("waited %v for %s in\n%s", patience, want, text)
			}
		}
	}
	const armed = `(?s)armed on lo: resets > 7;.*`
	says(armed)
	if err := cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	says(armed + armed[4:])
	master.Close()
	says("told to stop by SIGHUP")
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
