//go:build linux

package namespaces

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What an operator may write, the name of its files, and what is refused.
func TestParse(t *testing.T) {
	const id = "4f1e6b2c9d0a4f1e6b2c9d0a4f1e6b2c9d0a4f1e6b2c9d0a4f1e6b2c9d0a4f1e"
	for spec, want := range map[string]string{
		"own": "own", "pid:42": "pid-42", "/run/netns/blue": "blue", "container:" + id: "4f1e6b2c9d0a", "container:4f1e6b2c9d0a": "4f1e6b2c9d0a",
		"": "", "mine": "", "pid:0": "", "pid:x": "", "pid:": "", "container:4f1e": "", "container:../../etc/passwd": "", "run/netns/blue": "",
	} {
		got, err := Parse(spec)
		if (err == nil) != (want != "") || err == nil && got.Label() != want {
			t.Errorf("%q is %q (%v), want %q", spec, got.Label(), err, want)
		}
	}
}

// A container's processes, as container engines name their control groups.
func TestContainer(t *testing.T) {
	const id = "4f1e6b2c9d0a"
	for group, want := range map[string]bool{
		"0::/system.slice/docker-" + id + "77.scope":                                           true,
		"0::/kubepods.slice/kubepods-podaa_bb.slice/cri-containerd-" + id + "77.scope":         true,
		"12:memory:/docker/" + id + "77\n0::/":                                                 true,
		"0::/machine.slice/libpod-" + id + ".scope/container":                                  true,
		"0::/kubepods.slice/crio-77" + id + ".scope":                                           false,
		"0::/system.slice/docker-77" + id + ".scope":                                           false,
		"0::/user.slice/user-0.slice/session-4.scope":                                          false,
		"0::/kubepods.slice/kubepods-besteffort-pod77.slice/cri-containerd-77" + id + ".scope": false,
	} {
		if within(group, id) != want {
			t.Errorf("%q: want %v", group, want)
		}
	}
	proc := t.TempDir()
	process := func(pid int, group, inode string) {
		dir := filepath.Join(proc, fmt.Sprint(pid))
		if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup"), []byte("0::"+group+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("net:["+inode+"]", filepath.Join(dir, "ns/net")); err != nil {
			t.Fatal(err)
		}
	}
	process(1, "/init.scope", "1")
	process(7, "/docker/"+id+"aa", "7")
	process(8, "/docker/"+id+"aa", "7")
	if path, err := container(proc, id); err != nil || path != filepath.Join(proc, "7/ns/net") {
		t.Errorf("%s, %v", path, err)
	}
	if _, err := container(proc, "000000000000"); err == nil || !strings.Contains(err.Error(), "no process") {
		t.Errorf("one that is not there: %v", err)
	}
	process(9, "/docker/"+id+"bb", "9")
	if _, err := container(proc, id); err == nil || !strings.Contains(err.Error(), "in 2 network namespaces") {
		t.Errorf("two of one ID: %v", err)
	}
}
