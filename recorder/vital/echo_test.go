//go:build linux

package vital

import (
	"errors"
	"math"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/probe"
)

// ping has this namespace's own address asked once, and waits for the answer.
func ping(t *testing.T, seq int) {
	t.Helper()
	conn, err := icmp.ListenPacket("ip4:icmp", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	msg, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: seq}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.WriteTo(msg, &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := icmp.ParseMessage(1, buf[:n]); err == nil && m.Type == ipv4.ICMPTypeEchoReply {
			return
		}
	}
}

// The probe looks at packets while there are requests, not before and not long after. One
// that a trigger asks for looks always.
func TestEchoIsWatchedWhilePinged(t *testing.T) {
	testns.Run(t, func() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Error(err)
			return
		}
		// /proc/net is the main thread's; the namespace is this one's.
		root := t.TempDir()
		err = errors.Join(os.Mkdir(filepath.Join(root, "proc"), 0o700), os.Symlink("/proc/thread-self/net", filepath.Join(root, "proc/net")))
		if err != nil {
			t.Error(err)
			return
		}
		probes := probe.Open(probe.Options{})
		defer probes.Close()
		for _, asked := range []bool{false, true} {
			r, err := openEcho(Env{Root: root, Probes: probes, Asked: func(string) bool { return asked }})
			if err != nil {
				t.Error(err)
				return
			}
			now := time.Now()
			tick := func(after time.Duration) float64 {
				now = now.Add(after)
				out := []float64{math.NaN()}
				if err := r.Read(now, out); err != nil {
					t.Error(err)
				}
				return out[0]
			}
			ping(t, 1) // before it was armed
			tick(0)
			ping(t, 2)
			if v := tick(250 * time.Millisecond); math.IsNaN(v) == asked {
				t.Errorf("asked for %v: the first request gives %v", asked, v)
			}
			ping(t, 3)
			if v := tick(250 * time.Millisecond); !(v > 0) {
				t.Errorf("asked for %v: the second request gives %v", asked, v)
			}
			tick(echoQuiet + time.Second)
			for range 4 { // the last second of ticks goes by
				tick(250 * time.Millisecond)
			}
			ping(t, 4)
			if v := tick(250 * time.Millisecond); math.IsNaN(v) == asked {
				t.Errorf("asked for %v: after a long silence a request gives %v", asked, v)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
