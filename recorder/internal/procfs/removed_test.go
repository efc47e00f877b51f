//go:build linux

package procfs

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// An entry of /proc that is removed answers EIO on the file that was open, for ever. When it
// is made anew, as that of a bond, it is read again; meanwhile it does not exist.
func TestRemovedAndMadeAnew(t *testing.T) {
	testns.Run(t, func() {
		const path = "proc/thread-self/net/dev_snmp6/a"
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a"}, PeerName: "b"}
		must(t, netlink.LinkAdd(pair))
		f, err := Open("/", path)
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("the kernel has no IPv6")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		first, err := f.Read()
		if err != nil || !strings.HasPrefix(string(first), "ifIndex") {
			t.Fatalf("read %q (%v)", first, err)
		}
		index := string(first[:strings.IndexByte(string(first), '\n')])
		must(t, netlink.LinkDel(pair))
		for range 2 {
			if text, err := f.Read(); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("of an interface that is gone: %q (%v), want that it does not exist", text, err)
			}
		}
		pair.Index = 0
		must(t, netlink.LinkAdd(pair))
		again, err := f.Read()
		if err != nil || !strings.HasPrefix(string(again), "ifIndex") || strings.HasPrefix(string(again), index+"\n") {
			t.Errorf("of the new interface: %q (%v), want another index than %q", again, err, index)
		}
	})
}

// An error names the path once.
func TestErrorNamesThePathOnce(t *testing.T) {
	f, err := Open("/", t.TempDir()) // a folder opens, and cannot be read
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(); err == nil || strings.Count(err.Error(), f.Name()) != 1 {
		t.Errorf("error %v, want one that names %s once", err, f.Name())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
