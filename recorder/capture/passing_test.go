//go:build linux

package capture

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

// gateway runs the programs on packets as they pass by one interface.
type gateway struct {
	t       *testing.T
	ring    *tap
	passing *Passing
}

func newGateway(t *testing.T) *gateway {
	needTap(t)
	passing, err := NewPassing()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { passing.Close() })
	return &gateway{t, looseTap(t, Filter{}, 1<<20, passing), passing}
}

// looseTap opens a ring of so many bytes whose programs are on no interface.
func looseTap(t testing.TB, f Filter, bytes int, passing *Passing) *tap {
	t.Helper()
	f, err := f.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	home, err := openNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { home.Close() })
	ring, err := openTap(home, link{hardware: unix.ARPHRD_ETHER}, bytes, f, passing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	return ring
}

// skb is struct __sk_buff (include/uapi/linux/bpf.h) up to what a test may set and a program reads here.
type skb struct {
	_       [9]uint32
	ingress uint32 // ingress_ifindex
	_       [38]uint32
}

// goes lets a segment in or out, forwarded or of this host.
func (g *gateway) goes(out, forwarded bool, from, to string, flags byte) {
	g.t.Helper()
	context := skb{}
	if forwarded {
		context.ingress = 1 // lo, which is always there
	}
	program := bpf.TapProgTapIngress
	if out {
		program = bpf.TapProgTapEgress
	}
	_, err := g.ring.programs.Programs[program].Run(&ebpf.RunOptions{Data: segment(netip.MustParseAddrPort(from), netip.MustParseAddrPort(to), flags), Context: context})
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) syn(from, to string)    { g.t.Helper(); g.goes(false, false, from, to, 0x02) }
func (g *gateway) synack(from, to string) { g.t.Helper(); g.goes(true, true, from, to, 0x12) }

// want says how many wait.
func (g *gateway) want(n int, story string) {
	g.t.Helper()
	if got, err := g.passing.Waiting(); err != nil || got != n {
		g.t.Errorf("%s: %d wait, want %d (%v)", story, got, n, err)
	}
}

// segment is one of TCP without options, in Ethernet.
func segment(from, to netip.AddrPort, flags byte) []byte {
	var b bytes.Buffer
	b.Write(make([]byte, 12))
	if from.Addr().Is4() {
		b.Write([]byte{8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0})
	} else {
		b.Write([]byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64})
	}
	b.Write(from.Addr().AsSlice())
	b.Write(to.Addr().AsSlice())
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], 7)
	tcp[12], tcp[13] = 5<<4, flags
	b.Write(tcp)
	return b.Bytes()
}

// Only who asks again what answered before waits, whatever else passes, over either protocol.
func TestPassing(t *testing.T) {
	if n := unsafe.Sizeof(skb{}); n != 192 {
		t.Fatalf("a context of %d bytes", n)
	}
	for _, c := range []struct{ dead, alive, banned, scanned, client, other string }{
		{"10.0.0.9:5432", "10.0.0.8:443", "10.0.0.7:22", "10.0.0.6:23", "198.51.100.7:", "198.51.100.8:"},
		{"[2001:db8::9]:5432", "[2001:db8::8]:443", "[2001:db8::7]:22", "[2001:db8::6]:23", "[2001:db8:1::7]:", "[2001:db8:1::8]:"},
	} {
		g := newGateway(t)
		for _, server := range []string{c.dead, c.alive, c.banned} {
			g.syn(c.client+"1000", server)
			g.synack(server, c.client+"1000")
		}
		ask := func() {
			for _, port := range []string{"2001", "2002", "2003"} {
				g.syn(c.client+port, c.dead)
				g.syn(c.client+port, c.banned)
				g.syn(c.client+port, c.scanned) // never answered
			}
			g.syn(c.client+"2004", c.alive)
		}
		ask()
		g.want(0, "each asked once")
		g.syn(c.other+"3000", c.banned)
		g.synack(c.banned, c.other+"3000") // it answers others
		time.Sleep(passingWait + 50*time.Millisecond)
		ask()
		g.want(3+1+1, "all of the dead, one client of the banned, one of the other")
		g.synack(c.alive, c.client+"2004")
		g.want(3+1, "an answer ends the wait")
		g.goes(true, true, c.dead, c.client+"2001", 0x14)
		g.want(2+1, "a RST does so, too")
		if n := g.passing.Refused(); n != 1 {
			t.Errorf("%d were refused, want 1", n)
		}
		g.goes(true, true, c.dead, c.client+"2001", 0x14)
		g.goes(true, true, c.scanned, c.client+"2001", 0x14)
		if n := g.passing.Refused(); n != 1 {
			t.Errorf("%d were refused with RSTs of nobody's attempt, want 1", n)
		}
	}
}

// What this host itself asks and answers is none of it: its own counters tell of that.
func TestPassingIsNotOwn(t *testing.T) {
	g := newGateway(t)
	const own, client, upstream = "192.0.2.1:443", "198.51.100.7:", "10.0.0.9:5432"
	own4 := func() {
		g.syn(client+"1000", own)
		g.goes(true, false, "192.0.2.1:4000", upstream, 0x02)
	}
	g.syn(client+"999", own)
	g.goes(true, false, own, client+"999", 0x12)
	g.goes(false, false, upstream, "192.0.2.1:3999", 0x12)
	own4()
	time.Sleep(passingWait + 50*time.Millisecond)
	own4()
	g.want(0, "own service and own connect")
	if g.passing.noted.Forwards != 0 {
		t.Error("a host that forwards nothing is taken for one that does")
	}
}

// At the server's side the SYN goes out and the answer comes in.
func TestPassingAtTheServersSide(t *testing.T) {
	g := newGateway(t)
	const client, server = "203.0.113.1:", "10.0.0.9:5432"
	out := func(port string) { g.goes(true, true, client+port, server, 0x02) }
	out("1")
	g.goes(false, false, server, client+"1", 0x12)
	out("2")
	out("3")
	time.Sleep(passingWait + 50*time.Millisecond)
	out("2")
	out("3")
	g.want(2, "translated connections")
	g.goes(false, false, server, client+"2", 0x12)
	g.want(1, "an answer that comes in ends the wait")
}
