//go:build linux

package namespaces

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Control groups as container engines name them, by themselves (cgroupfs) and through systemd, and those of others.
func TestWithin(t *testing.T) {
	const id = "4f1e6b2c9d0a"
	const whole = id + "77"
	for group, want := range map[string]bool{
		"0::/system.slice/docker-" + whole + ".scope":                                             true,
		"12:memory:/docker/" + whole + "\n0::/":                                                   true,
		"0::/docker/" + whole + "/init.scope":                                                     true, // a systemd in it
		"0::/docker/00" + whole + "/docker/" + whole:                                              true, // an engine in a container
		"0::/machine.slice/libpod-" + whole + ".scope/container":                                  true,
		"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + whole + ".scope":  true,
		"0::/libpod_parent/libpod-" + whole:                                                       true,
		"0::/kubepods.slice/kubepods-podaa_bb.slice/cri-containerd-" + whole + ".scope":           true,
		"0::/kubepods/burstable/pod0f3c1e9a-aaaa-4bbb-8ccc-0123456789ab/" + whole:                 true,
		"0::/kubepods.slice/kubepods-podaa_bb.slice/crio-" + whole + ".scope":                     true,
		"0::/system.slice/nerdctl-" + whole + ".scope":                                            true,
		"0::/../cri-containerd-" + whole + ".scope":                                               true, // seen from within a control-group namespace
		"0::/system.slice/containerd.service/kubepods-podaa_bb.slice:cri-containerd:" + whole:     true,
		"0::/machine.slice/libpod-conmon-" + whole + ".scope":                                     false,
		"0::/kubepods.slice/kubepods-podaa_bb.slice/crio-conmon-" + whole + ".scope":              false,
		"0::/kubepods.slice/crio-77" + whole + ".scope":                                           false,
		"0::/system.slice/docker-77" + whole + ".scope":                                           false,
		"0::/user.slice/user-0.slice/session-4.scope":                                             false,
		"0::/kubepods.slice/kubepods-besteffort-pod77.slice/cri-containerd-77" + whole + ".scope": false,
	} {
		if got := within(group, id); (got == whole) != want || got != "" && got != whole {
			t.Errorf("%q: %q, want %v", group, got, want)
		}
	}
}

// fakeProc is a /proc in a folder.
type fakeProc struct {
	*testing.T
	dir string
}

func (p fakeProc) process(pid int, group, inode string, began int) {
	p.Helper()
	dir := filepath.Join(p.dir, fmt.Sprint(pid))
	if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o700); err != nil {
		p.Fatal(err)
	}
	// Names may hold what separates fields.
	stat := fmt.Sprintf("%d (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %d 20 21\n", pid, began)
	for name, text := range map[string]string{"cgroup": "0::" + group + "\n", "stat": stat} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			p.Fatal(err)
		}
	}
	if err := os.Symlink("net:["+inode+"]", filepath.Join(dir, "ns/net")); err != nil {
		p.Fatal(err)
	}
}

// A container's namespace is that of its oldest process, not of its monitor, which is older and the host's, nor of what it holds.
func TestContainer(t *testing.T) {
	const id = "4f1e6b2c9d0a"
	proc := fakeProc{t, t.TempDir()}
	proc.process(1, "/init.scope", "1", 0)
	proc.process(9, "/machine.slice/libpod-conmon-"+id+"aa.scope", "1", 500)
	proc.process(30, "/machine.slice/libpod-"+id+"aa.scope/container", "7", 501)
	proc.process(8, "/machine.slice/libpod-"+id+"aa.scope/container", "7", 900)              // numbers begin again
	proc.process(31, "/machine.slice/libpod-"+id+"aa.scope/container/docker/00ff", "8", 950) // in a namespace of its own
	if path, err := container(proc.dir, id); err != nil || path != filepath.Join(proc.dir, "30/ns/net") {
		t.Errorf("%s, %v", path, err)
	}
	if _, err := container(proc.dir, "000000000000"); err == nil || !strings.Contains(err.Error(), "no process") {
		t.Errorf("one that is not there: %v", err)
	}
	proc.process(32, "/machine.slice/libpod-"+id+"bb.scope/container", "9", 1000)
	if _, err := container(proc.dir, id); err == nil || !strings.Contains(err.Error(), "more digits") {
		t.Errorf("two whose IDs begin so: %v", err)
	}
	if path, err := container(proc.dir, id+"bb"); err != nil || path != filepath.Join(proc.dir, "32/ns/net") {
		t.Errorf("%s, %v", path, err)
	}
}
