//go:build linux

package vital

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/probe"
)

// dropPorts has this namespace drop what comes for some TCP ports.
func dropPorts(t *testing.T, ports ...uint16) {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "test"})
	chain := c.AddChain(&nftables.Chain{Name: "in", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter})
	for _, port := range ports {
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

// knock begins to connect from an address, on the calling thread's namespace.
func knock(t *testing.T, from byte, port int) (fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, from}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}); err != unix.EINPROGRESS {
		t.Fatalf("connect to %d: %v", port, err)
	}
	return fd
}

// Clients whom an own rule keeps from a listener count, each once, from their second SYN on.
// Who tries once, as a scan does, or a port on which nobody listens, is not one of them.
func TestFilteredClients(t *testing.T) {
	testns.Run(t, func() {
		var ns unix.Stat_t // of this thread
		if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
			t.Fatal(err)
		}
		probes := probe.Open(probe.Options{NetNS: uint32(ns.Ino)})
		defer probes.Close()
		p := NewPeers(probes.Names)
		reader, err := openFiltered(Env{Probes: probes, Peers: p})
		if err != nil {
			t.Skip(err) // before 5.17; where the probe has to arm, package probe fails
		}
		dropPorts(t, 443, 444)
		p.listening(time.Now(), 443)
		for _, from := range []byte{2, 3, 4, 5, 5} {
			defer unix.Close(knock(t, from, 443))
		}
		defer unix.Close(knock(t, 6, 444))
		unix.Close(knock(t, 7, 443)) // before its SYN is sent again
		value := func() float64 {
			if _, err := probes.Events.Read(p.Heed); err != nil {
				t.Fatal(err)
			}
			out := []float64{-1}
			if err := reader.Read(time.Now(), out); err != nil {
				t.Fatal(err)
			}
			return out[0]
		}
		if n := value(); n != 0 {
			t.Errorf("%v clients wait before anything was sent again", n)
		}
		for end := time.Now().Add(30 * time.Second); value() < 4; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%v clients wait, want 4", value())
			}
		}
		time.Sleep(time.Second) // until 444 is knocked at again, for certain
		if n := value(); n != 4 {
			t.Errorf("%v clients wait, want 4", n)
		}
	})
}

// The memory of connections is bounded and ends, and a second drop long after the first is no wait.
func TestFilteredForgets(t *testing.T) {
	p := NewPeers(nil)
	p.rules[1] = true
	start, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	p.listening(time.Now(), 443)
	drop := func(client uint16, at time.Duration) {
		p.Heed(&probe.Event{Kind: probe.Drop, Proto: unix.IPPROTO_TCP, Reason: 1, Time: start - int64(time.Minute) + int64(at),
			Local: netip.MustParseAddrPort("192.0.2.1:443"), Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(client >> 8), byte(client)}), client)})
	}
	for i := range 2 * peersMost {
		drop(uint16(i), 0)
	}
	if len(p.tries) > peersMost {
		t.Errorf("%d connections are kept, more than %d", len(p.tries), peersMost)
	}
	drop(1, time.Second)
	drop(2, triesKept+time.Second)
	if len(p.filtered) != 1 {
		t.Errorf("%v wait, want the one that was dropped again within %v", p.filtered, triesKept)
	}
	out := []float64{-1}
	if err := p.readFiltered(time.Now().Add(2*portKept), out); err != nil || out[0] != 0 {
		t.Errorf("a minute later %v wait, %v", out[0], err)
	}
	if len(p.tries)+len(p.filtered)+len(p.ports) > 0 {
		t.Errorf("a minute later %d connections, %d clients and %d ports are left", len(p.tries), len(p.filtered), len(p.ports))
	}
}

// Peers that were sent something again for long count, each once; a single timeout or a fast
// retransmission is nobody.
func TestPeersStalled(t *testing.T) {
	p := NewPeers(nil)
	now, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []probe.Event{
		{Kind: probe.Retransmit, Remote: netip.MustParseAddrPort("10.0.0.1:1"), Retries: 1},
		{Kind: probe.Retransmit, Remote: netip.MustParseAddrPort("10.0.0.2:1"), Retries: 2},
		{Kind: probe.Retransmit, Remote: netip.MustParseAddrPort("10.0.0.2:2"), Retries: 3},
		// The other end's port is the same in a pool to one upstream.
		{Kind: probe.Retransmit, Local: netip.MustParseAddrPort("10.0.0.9:40001"), Remote: netip.MustParseAddrPort("10.0.0.2:2"), Retries: 2},
		{Kind: probe.SYNACKRetransmit, Remote: netip.MustParseAddrPort("10.0.0.3:1"), Asked: true},
		{Kind: probe.SYNACKRetransmit, Remote: netip.MustParseAddrPort("10.0.0.6:1")},          // a scanner
		{Kind: probe.SYNRetransmit, Remote: netip.MustParseAddrPort("10.0.0.4:1"), Retries: 3}, // this host's own waiting
		{Kind: probe.SYNACKRetransmit, Remote: netip.MustParseAddrPort("10.0.0.5:1"), Asked: true, Time: -int64(2 * stalledTold)},
	} {
		e.Time += now
		p.Heed(&e)
	}
	out := []float64{-1, -1}
	if err := p.readStalled(time.Now(), out); err != nil || out[0] != 2 || out[1] != 3 {
		t.Errorf("%v peers and %v connections are stalled, want 2 and 3 (%v)", out[0], out[1], err)
	}
}
