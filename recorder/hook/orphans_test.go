//go:build linux

package hook

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a command leaves in the background is no zombie of the first process of a container for ever, and who waits for a
// program that it started itself still learns how that ended.
func TestAdopt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it makes a namespace of processes")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestFirstProcess$", "-test.v")
	cmd.Env = append(os.Environ(), "SPIKEBOX_FIRST_PROCESS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip(err)
	}
	if err != nil || !strings.Contains(string(out), "no child is left") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestFirstProcess is the first process of a namespace that TestAdopt makes.
func TestFirstProcess(t *testing.T) {
	if os.Getenv("SPIKEBOX_FIRST_PROCESS") == "" {
		t.Skip("it is a part of TestAdopt")
	}
	Adopt()
	for range 3 {
		_ = exec.Command("sh", "-c", "(sleep 0.1 &); (setsid sleep 0.2 &); exit 7").Run()
	}
	err := exec.Command("sh", "-c", "sleep 0.5; exit 7").Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		t.Errorf("an own child ends with %v", err)
	}
	var info unix.Siginfo
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); errors.Is(err, unix.ECHILD) {
			t.Log("no child is left")
			return
		}
	}
	t.Error("children are left")
}
