package taps

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// ends are a connection's two ends, client first.
type ends [2]netip.AddrPort

// between makes connections through a host that translates the server's address, seen at its interfaces 0 and 1.
type between struct {
	t  *Tracker
	at int64
}

// sees adds a segment at an interface.
func (b *between) sees(place int, dir packet.Dir, from, to netip.AddrPort, flags packet.Flags, seq, ack uint32) {
	b.at += 1e6
	p := &packet.Packet{Time: b.at, Kind: packet.TCP, Dir: dir, Src: addrOf(from), Dst: addrOf(to), SrcPort: from.Port(), DstPort: to.Port(),
		Seq: seq, Ack: ack, Flags: flags, Opts: packet.OptTS, TSval: uint32(b.at / 1e6), TSecr: ack}
	b.t.Add(p, place)
	p.Time++
}

// passes adds a segment that goes from one interface to the other, with the ends that it has at each.
func (b *between) passes(from, to int, here, there ends, flags packet.Flags, seq, ack uint32) {
	b.at += 1e6
	for i, at := range []struct {
		place int
		dir   packet.Dir
		ends
	}{{from, packet.DirIn, here}, {to, packet.DirOut, there}} {
		b.t.Add(&packet.Packet{Time: b.at + int64(i), Kind: packet.TCP, Dir: at.dir, Src: addrOf(at.ends[0]), Dst: addrOf(at.ends[1]),
			SrcPort: at.ends[0].Port(), DstPort: at.ends[1].Port(), Seq: seq, Ack: ack, Flags: flags, Opts: packet.OptTS, TSval: uint32(b.at / 1e6), TSecr: ack}, at.place)
	}
}

// Answers of which none passes join nothing: they are told by those of other connections to the same service, that do.
func TestUnreturned(t *testing.T) {
	outside, inside := netip.MustParseAddrPort("192.0.2.10:80"), netip.MustParseAddrPort("172.17.0.2:80")
	for name, c := range map[string]struct {
		others bool
		want   uint64
	}{
		"a rule drops them":            {true, 6},
		"they have always another way": {false, 0},
	} {
		b := &between{t: New(true), at: 1e12}
		if c.others {
			for i := range 3 {
				client := netip.MustParseAddrPort(fmt.Sprintf("198.51.100.1:%d", 30000+i))
				seq := uint32(1000 * (i + 1))
				b.passes(0, 1, ends{client, outside}, ends{client, inside}, packet.SYN, seq, 0)
				b.passes(1, 0, ends{inside, client}, ends{outside, client}, packet.SYN|packet.ACK, seq+77, seq+1)
				b.passes(0, 1, ends{client, outside}, ends{client, inside}, packet.ACK|packet.FIN, seq+1, seq+78)
			}
		}
		for i := range 3 {
			client := netip.MustParseAddrPort(fmt.Sprintf("198.51.100.2:%d", 40000+i))
			seq := uint32(100000 * (i + 1))
			for range 2 {
				b.passes(0, 1, ends{client, outside}, ends{client, inside}, packet.SYN, seq, 0)
				b.sees(1, packet.DirIn, inside, client, packet.SYN|packet.ACK, seq+77, seq+1)
			}
		}
		// Whoever goes on talking shows that the other interface still looks.
		b.at += 10e9
		last := netip.MustParseAddrPort("198.51.100.3:50000")
		b.passes(0, 1, ends{last, outside}, ends{last, inside}, packet.SYN, 7, 0)
		var lost uint64
		for _, p := range b.t.Finish() {
			for i := range p.Ways {
				if w := &p.Ways[i]; w.From == 1 {
					lost += w.Lost
				}
			}
		}
		if lost != c.want {
			t.Errorf("%s: %d segments lost on their way back, want %d", name, lost, c.want)
		}
	}
}

// addrOf gives an address as packets have it.
func addrOf(a netip.AddrPort) packet.Addr { return packet.Addr(a.Addr().As16()) }
