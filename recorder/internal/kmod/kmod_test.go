//go:build linux

package kmod

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPresent(t *testing.T) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	builtin := "lib/modules/" + unix.ByteSliceToString(uts.Release[:]) + "/modules.builtin"
	loaded := "nf_conntrack 176128 2 nf_nat,xt_state, Live 0x0000000000000000\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"no modules at all": {nil, true},
		"loaded":            {map[string]string{"proc/modules": loaded + "nf_conntrack_netlink 57344 0 - Live 0x0\n"}, true},
		"another is loaded": {map[string]string{"proc/modules": loaded}, false},
		"loading forbidden": {map[string]string{"proc/modules": loaded, "proc/sys/kernel/modules_disabled": "1\n"}, true},
		"loading allowed":   {map[string]string{"proc/modules": loaded, "proc/sys/kernel/modules_disabled": "0\n"}, false},
		"built in":          {map[string]string{"proc/modules": loaded, builtin: "kernel/net/netfilter/nf-conntrack-netlink.ko\n"}, true},
		"known to sysfs":    {map[string]string{"proc/modules": loaded, "sys/module/nf_conntrack_netlink/version": ""}, true},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := Present(root, "nf_conntrack_netlink"); got != c.want {
			t.Errorf("%s: present %v, want %v", name, got, c.want)
		}
	}
}
