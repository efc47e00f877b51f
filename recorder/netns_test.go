//go:build linux

package recorder_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// sleeper is a process in a network namespace of its own, with loopback up.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	ns := testns.New(t)
	cmd := exec.Command("sleep", "1000")
	var err error
	testns.Do(t, ns, func() { err = cmd.Start() })
	must(t, err)
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

// Two namespaces at once have a recorder and a ring each, which see what is in theirs; commands for bundles run in
// the one that the keeper is in. When a namespace is gone its recorder lets go of it, and the other goes on.
func TestNetNS(t *testing.T) {
	t.Parallel()
	other := sleeper(t)
	label := fmt.Sprintf("pid-%d", other.Process.Pid)
	home := testns.New(t)
	d := start(t, home, "", "--interface", "lo", "--after", "0s", "--ring", "8MiB", "--on-bundle", "readlink /proc/self/ns/net",
		"--netns", "own", "--netns", fmt.Sprintf("pid:%d", other.Process.Pid))
	d.says("armed on lo", 2)
	inside := control.Client{Socket: strings.TrimSuffix(d.ctl.Socket, ".sock") + "-" + label + ".sock"}
	for _, client := range []control.Client{d.ctl, inside} {
		if drill, _, err := client.Drill(t.Context()); err != nil || states(drill) != allOK {
			t.Errorf("%s: %+v (%v)", client.Socket, drill, err)
		}
	}
	must(t, inside.Trigger(t.Context(), "within"))
	d.says(label+": bundle written: "+filepath.Join(d.dir, label), 1)
	var own string
	testns.Do(t, home, func() {
		var err error
		own, err = os.Readlink("/proc/thread-self/ns/net")
		must(t, err)
	})
	d.says(label+": --on-bundle says: "+own, 1)
	must(t, other.Process.Kill())
	other.Wait()
	d.says("network namespace pid:"+strings.TrimPrefix(label, "pid-")+" is not there any more", 1)
	d.says(label+": disarmed", 1)
	d.status()
	d.signal(unix.SIGTERM)
	if code := d.exits(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	d.says("own: disarmed", 1)
}

// A keeper that is killed leaves no recorder behind, and one that may not enter a namespace says what it takes.
func TestNetNSKilled(t *testing.T) {
	t.Parallel()
	other := sleeper(t)
	d := start(t, testns.New(t), "", "--interface", "lo", "--ring", "8MiB", "--netns", fmt.Sprintf("/proc/%d/ns/net", other.Process.Pid))
	d.says("armed on lo", 1)
	pid := d.status().PID
	if pid == d.cmd.Process.Pid {
		t.Fatalf("the keeper records itself")
	}
	must(t, d.cmd.Process.Kill())
	d.wait("ends with its keeper", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })

	dir := nobodysFolder(t)
	refused := start(t, testns.New(t), nobody(",+net_raw,+sys_ptrace"), "--dir", dir, "--control", "", "--netns", fmt.Sprintf("pid:%d", other.Process.Pid))
	if code := refused.exits(); code != 1 || !strings.Contains(refused.log(), "CAP_SYS_ADMIN") {
		t.Errorf("exit code %d: %s", code, refused.log())
	}
}

// A namespace that is not there yet, as a container's after a boot, keeps the others from nothing, and is recorded when it comes. One that none
// beside it makes up for is an error.
func TestNetNSAbsent(t *testing.T) {
	t.Parallel()
	late := filepath.Join(t.TempDir(), "late")
	d := start(t, testns.New(t), "", "--interface", "lo", "--ring", "8MiB", "--netns", "own", "--netns", late)
	d.says("own: armed on lo", 1)
	d.says("open network namespace "+late+": ", 1)
	d.says("; it is tried again every 10s", 1)
	other := sleeper(t)
	must(t, os.Symlink(fmt.Sprintf("/proc/%d/ns/net", other.Process.Pid), late))
	d.says("late: armed on lo", 1)
	d.signal(unix.SIGTERM)
	if code := d.exits(); code != 0 {
		t.Errorf("exit code %d", code)
	}

	none := start(t, testns.New(t), "", "--interface", "lo", "--ring", "8MiB", "--netns", late+"r")
	if code := none.exits(); code != 1 || !strings.Contains(none.log(), "open network namespace "+late+"r") {
		t.Errorf("exit code %d: %s", code, none.log())
	}
}
