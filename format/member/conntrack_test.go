package member

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLineForms covers what needs hardware, zones or labels to be seen. That all other lines
// are the kernel's is tested against its own, where the table is dumped.
func TestLineForms(t *testing.T) {
	addr := netip.MustParseAddr
	tuple := ConntrackTuple{Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), SrcPort: 1, DstPort: 2}
	zoned := tuple
	zoned.Zone = 4
	for want, e := range map[string]ConntrackEntry{
		"ipv4     2 tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [OFFLOAD] mark=0 zone=0 use=3\n":                                                   {Family: 2, Proto: "tcp", Protocol: 6, State: ConntrackState(6, 3), Timeout: -1, Assured: true, Offloaded: true, Orig: tuple, Reply: tuple, Use: 3},
		"ipv4     2 tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [HW_OFFLOAD] mark=0 zone=0 use=0\n":                                                {Family: 2, Proto: "tcp", Protocol: 6, Timeout: -1, Offloaded: true, Hardware: true, Orig: tuple, Reply: tuple},
		"ipv4     2 sctp     132 7 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 zone-orig=4 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 mark=9 secctx=a:b use=1\n":                 {Family: 2, Proto: "sctp", Protocol: 132, State: ConntrackState(132, 4), Timeout: 7, Unreplied: true, Orig: zoned, Reply: tuple, Mark: 9, Label: "a:b", Use: 1},
		"ipv4     2 gre      47 0 src=10.0.0.1 dst=10.0.0.2 srckey=0x1 dstkey=0x2 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2 srckey=0x1 dstkey=0x2 zone-reply=4 mark=0 delta-time=5 use=1\n":               {Family: 2, Proto: "gre", Protocol: 47, Unreplied: true, Orig: tuple, Reply: zoned, Start: 1e9, Use: 1},
		"ipv4     2 tcp      6 0 STATE_77 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 packets=1 bytes=40 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 packets=0 bytes=0 mark=0 zone=5 use=0\n": {Family: 2, Proto: "tcp", Protocol: 6, State: ConntrackState(6, 77), Unreplied: true, Zone: 5, Orig: counted(tuple, 1, 40), Reply: counted(tuple, 0, 0)},
	} {
		if got := string(e.Append(nil, 6e9+5)); got != want {
			t.Errorf("printed\n%q\nwant\n%q", got, want)
		}
		e.Start = 0        // how long ago it was is printed, and not read
		if e.Timeout < 0 { // nor are these printed of a flow in a flow table
			e.State, e.Assured = "", false
		}
		got, err := ParseConntrackEntry([]byte(want))
		if diff := cmp.Diff(e, got, sameAddr); diff != "" || err != nil {
			t.Errorf("read %q: error %v, (-want +got):\n%s", want, err, diff)
		}
	}
}

func counted(t ConntrackTuple, packets, bytes uint64) ConntrackTuple {
	t.HasCounter, t.Packets, t.Bytes = true, packets, bytes
	return t
}

// The forms of older kernels and of conntrack(8), and what makes a line none.
func TestParseConntrackEntry(t *testing.T) {
	const line = "tcp      6 431989 ESTABLISHED src=192.0.2.7 dst=192.0.2.10 sport=60534 dport=8009 src=192.0.2.10 dst=x sport=8009 dport=60534 [ASSURED] mark=0 secmark=0 use=2"
	e, err := ParseConntrackEntry([]byte(line))
	if err != nil || e.Orig.SrcPort != 60534 || e.Orig.DstPort != 8009 || e.Timeout != 431989 || !e.Assured || e.Unreplied || e.Reply.SrcPort != 8009 {
		t.Errorf("entry %+v, %v", e, err)
	}
	for text, reason := range map[string]string{
		"tcp 6 src=nobody":                                "3 words, want a protocol and addresses",
		"tcp 6 5 NONE src=nobody dst=192.0.2.1":           `read word "src=nobody"`,
		"tcp 6 5 NONE src=192.0.2.1 sport=1 dport=2":      "no src= and dst=",
		"tcp 6 5 NONE src=192.0.2.1 dst=::1 sport=100000": `read word "sport=100000"`,
	} {
		if _, err := ParseConntrackEntry([]byte(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: error %v, want %q", text, err, reason)
		}
	}
}
