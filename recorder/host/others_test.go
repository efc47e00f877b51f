//go:build linux

package host

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// One for each namespace that has more than loopback, whatever number of processes are in it.
func TestOtherNetNS(t *testing.T) {
	root := t.TempDir()
	process := func(pid, inode, dev string) {
		dir := filepath.Join(root, "proc", pid)
		for name, text := range map[string]string{"net/dev": "Inter-| Receive\n face |bytes\n" + dev, "comm": "nginx\n"} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(dir, "ns"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("net:["+inode+"]", filepath.Join(dir, "ns/net")); err != nil {
			t.Fatal(err)
		}
	}
	const lo, eth = "    lo: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n", "  eth0: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n"
	process("self", "1", lo+eth)
	process("1", "1", lo+eth)
	process("20", "2", lo)
	process("30", "3", lo+eth)
	process("31", "3", lo+eth)
	want := []NetNSOf{{Inode: "net:[3]", PID: 30, Program: "nginx", Interfaces: []string{"eth0"}}}
	if got := OtherNetNS(root); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := OtherNetNS(t.TempDir()); got != nil {
		t.Errorf("without /proc: %+v", got)
	}
}
