//go:build linux

package vm

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// patience bounds waits under emulation, where a second's work takes ten.
const patience = 2 * time.Minute

// TestNetworkInVM has what this machine's kernel may not have: a bond that loses a
// member, a link that flaps, a network emulator. The real recorder is armed on them.
func TestNetworkInVM(t *testing.T) {
	if _, err := os.Stat(daemon); err != nil || os.Getenv("SPIKEBOX_TEST_VM") == "" {
		t.Skip("needs VMs, and some minutes: run make test-vm")
	}
	t.Run("bond", testBond)
	t.Run("flap", testFlap)
	t.Run("netem", testNetem)
}

// armed is a recorder in a namespace.
type armed struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  bytes.Buffer
	mu   sync.Mutex
	said string
	done chan struct{}
}

func arm(t *testing.T, ns netns.NsHandle, args ...string) *armed {
	t.Helper()
	a := &armed{t: t, done: make(chan struct{})}
	a.cmd = exec.Command(daemon, append([]string{"run", "--dir", t.TempDir(), "--control", "", "--before", "30s",
		"--after", "1s", "--once"}, args...)...)
	a.cmd.Stdout = &a.out
	says, err := a.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	testns.Do(t, ns, func() { err = a.cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.cmd.Process.Kill() })
	go func() {
		defer close(a.done)
		for lines := bufio.NewScanner(says); lines.Scan(); {
			a.mu.Lock()
			a.said += lines.Text() + "\n"
			a.mu.Unlock()
		}
	}()
	a.says("armed on")
	return a
}

func (a *armed) says(text string) {
	a.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		a.mu.Lock()
		said := a.said
		a.mu.Unlock()
		if strings.Contains(said, text) {
			return
		}
		if time.Now().After(end) {
			a.t.Fatalf("the recorder never said %q, but:\n%s", text, said)
		}
	}
}

// bundle waits for the recorder's end and opens what it wrote.
func (a *armed) bundle() *format.Reader {
	a.t.Helper()
	<-a.done
	if err := a.cmd.Wait(); err != nil {
		a.t.Fatalf("recorder: %v\n%s", err, a.said)
	}
	r, err := format.Open(strings.TrimSpace(a.out.String()), format.Limits{})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { r.Close() })
	for _, err := range format.Check(r) {
		a.t.Error(err)
	}
	return r
}

// texts gives the snapshots of one file, oldest first.
func texts(t *testing.T, r *format.Reader, path string) (all []string) {
	t.Helper()
	err := r.Walk(func(m format.Member, content io.Reader) error {
		if strings.HasPrefix(m.Name, "snapshots/") && strings.HasSuffix(m.Name, "/"+path) {
			text, err := io.ReadAll(content)
			all = append(all, string(text))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func link(t *testing.T, ns netns.NsHandle, name string, change func(netlink.Link) error) {
	t.Helper()
	testns.Do(t, ns, func() {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = change(l)
		}
		if err != nil {
			t.Errorf("change link %s: %v", name, err)
		}
	})
}

// testBond takes the carrier from the active member of a bond: the bundle has the bond
// with both members up, then with one down and its failure counted.
func testBond(t *testing.T) {
	host, rest := testns.New(t), testns.New(t)
	bond := netlink.NewLinkBond(netlink.LinkAttrs{Name: "bond0"})
	bond.Mode, bond.Miimon = netlink.BOND_MODE_ACTIVE_BACKUP, 50
	testns.Do(t, host, func() {
		if err := netlink.LinkAdd(bond); err != nil {
			t.Errorf("add bond: %v", err)
		}
		for i, name := range []string{"eth0", "eth1"} {
			pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "port" + name[3:], PeerNamespace: netlink.NsFd(rest)}
			if err := netlink.LinkAdd(pair); err != nil {
				t.Errorf("add member %d: %v", i, err)
			}
		}
	})
	for _, name := range []string{"eth0", "eth1"} {
		link(t, host, name, func(l netlink.Link) error { return netlink.LinkSetBondSlave(l, bond) })
		link(t, rest, "port"+name[3:], netlink.LinkSetUp)
	}
	link(t, host, "bond0", netlink.LinkSetUp)
	a := arm(t, host, "--interface", "bond0")
	time.Sleep(3 * time.Second) // seconds of health before it
	link(t, rest, "port0", netlink.LinkSetDown)
	time.Sleep(3 * time.Second)
	a.cmd.Process.Signal(syscall.SIGUSR1)
	all := texts(t, a.bundle(), "proc/net/bonding/bond0")
	if len(all) < 2 || !strings.Contains(all[0], "Bonding Mode: fault-tolerance (active-backup)") || strings.Contains(all[0], "MII Status: down") {
		t.Fatalf("%d snapshots of the bond, the first: %q", len(all), all)
	}
	if last := all[len(all)-1]; !strings.Contains(last, "MII Status: down") || !strings.Contains(last, "Link Failure Count: 1") {
		t.Errorf("the last snapshot of the bond does not show the member that was lost: %q", last)
	}
}

// testFlap takes a link down and up while armed: the recorder says so and records on.
func testFlap(t *testing.T) {
	host, rest := testns.Pair(t)
	a := arm(t, host.NS, "--interface", host.Link)
	link(t, host.NS, host.Link, netlink.LinkSetDown)
	a.says(host.Link + " is down")
	link(t, host.NS, host.Link, netlink.LinkSetUp)
	a.says(host.Link + " is up")
	for range 5 { // packets behind the flap
		testns.Do(t, rest.NS, func() {
			if c, err := net.Dial("udp4", host.Addr+":9"); err == nil {
				c.Write([]byte("x"))
				c.Close()
			}
		})
	}
	time.Sleep(time.Second)
	a.cmd.Process.Signal(syscall.SIGUSR1)
	for _, s := range a.bundle().Manifest.Sources {
		if s.Name == "packets" && (s.Details[host.Link+".packets"] == "" || s.Details[host.Link+".packets"] == "0") {
			t.Errorf("packets: %+v, want some", s)
		}
	}
}

// testNetem delays a network by a third of a second: --rtt 200ms fires then, not before.
func testNetem(t *testing.T) {
	host, rest := testns.Pair(t)
	var l net.Listener
	var err error
	testns.Do(t, host.NS, func() { l, err = net.Listen("tcp4", host.Addr+":80") })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go echo(l)
	a := arm(t, host.NS, "--interface", host.Link, "--rtt", "200ms")
	stop := make(chan struct{})
	defer close(stop)
	for range 4 {
		testns.Do(t, rest.NS, func() {
			c, err := net.Dial("tcp4", host.Addr+":80")
			if err != nil {
				t.Error(err)
				return
			}
			go ask(c, stop)
		})
	}
	time.Sleep(4 * time.Second)
	began := time.Now()
	link(t, rest.NS, rest.Link, func(l netlink.Link) error {
		return netlink.QdiscAdd(netlink.NewNetem(netlink.QdiscAttrs{LinkIndex: l.Attrs().Index,
			Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}, netlink.NetemQdiscAttrs{Latency: 333_000}))
	})
	r := a.bundle()
	if got := r.Manifest.Trigger; got.Vital != "rtt.p99" || got.Value < 0.2 || got.Time.Before(began) {
		t.Errorf("trigger %+v, want rtt.p99 beyond 200 ms, after %v", got, began)
	}
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go io.Copy(c, c)
	}
}

// ask exchanges a byte ten times a second.
func ask(c net.Conn, stop chan struct{}) {
	defer c.Close()
	buf := make([]byte, 1)
	for {
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
		if _, err := c.Write(buf); err != nil {
			return
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return
		}
	}
}
