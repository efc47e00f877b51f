package check

import (
	"net/netip"
	"testing"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
)

func TestSeverityOfTrouble(t *testing.T) {
	for _, tt := range []struct {
		flows, attempts uint64
		want            Severity
	}{
		{2, 2, Warning}, {3, 30, Critical}, {3, 31, Warning}, {1, 100, Warning}, {1, 101, Info}, {50, 5001, Info},
	} {
		one := trouble{service: &handshake.Service{Attempts: tt.attempts}, Repeats: &handshake.Repeats{Flows: tt.flows}}
		if got := one.severity(); got != tt.want {
			t.Errorf("%d of %d: %s, want %s", tt.flows, tt.attempts, got, tt.want)
		}
	}
}

// What took five seconds of ten minutes is judged by what began in them, unless it is so little that chance may have brought
// it together; what lasted all the time by all of them.
func TestSeverityOfAShortTrouble(t *testing.T) {
	for _, tt := range []struct {
		name        string
		hit         int
		apart       int64 // ns
		want        Severity
		among, much uint64
	}{
		{"a burst", 24, 200e6, Critical, 20, 50},
		{"two by chance", 2, 1e9, Info, 2402, 2402},
		{"now and then", 15, 35e9, Info, 2415, 2415},
	} {
		var services handshake.Services
		server := netip.MustParseAddrPort("192.0.2.10:443")
		attempt := func(at int64, again ...int64) {
			f := &flow.Flow{Server: server, Client: netip.MustParseAddrPort("198.51.100.7:40000")}
			f.Handshake.SYNs = []flow.Sent{{Time: at}}
			for _, wait := range again {
				f.Handshake.SYNs = append(f.Handshake.SYNs, flow.Sent{Time: at + wait})
				f.Handshake.SYNRetransmits++
			}
			f.Handshake.Completed = true
			services.Add(f)
		}
		const begin, minutes = 1_700_000_000_000_000_000, 10
		for i := range int64(minutes * 60 * 4) { // four a second
			attempt(begin + i*250e6)
		}
		for i := range int64(tt.hit) {
			attempt(begin+60e9+i*tt.apart, 1e9)
		}
		v := services.List()[0]
		one := trouble{handshake.SYNUnanswered, v, &v.Troubles[handshake.SYNUnanswered]}
		if got := one.meanwhile(); one.severity() != tt.want || got < tt.among || got > tt.much {
			t.Errorf("%s: %s of %d, want %s of %d to %d", tt.name, one.severity(), got, tt.want, tt.among, tt.much)
		}
	}
}

// Of SYNs that a router answered with an ICMP error nobody says that nothing came back; of those that one of many was
// answered so, it is said.
func TestSaidByICMP(t *testing.T) {
	server, router := netip.MustParseAddrPort("192.0.2.10:443"), netip.MustParseAddr("198.51.100.1")
	for errors, want := range map[int]string{0: "", 1: "", 12: "an ICMP error came back from 198.51.100.1 (type 3, code 1: host unreachable)"} {
		sums := &traffic.Sums{}
		for i := range 12 {
			f := &flow.Flow{Server: server, Client: netip.MustParseAddrPort("198.51.100.7:40000"), End: flow.Unanswered}
			f.Handshake.SYNs, f.Handshake.SYNRetransmits = []flow.Sent{{Time: 1e9}, {Time: 2e9}}, 1
			if i < errors {
				f.ICMPErrors, f.ICMPError, f.ICMPFrom = 2, 3<<8|1, router
			}
			sums.Flow(f)
		}
		c := &Case{Evidence: &evidence.Evidence{Packets: &evidence.Packets{Traffic: sums.List()}}}
		said, _ := c.said(trouble{handshake.SYNUnanswered, &handshake.Service{Server: server}, &handshake.Repeats{Flows: 12}})
		if said.short != want {
			t.Errorf("%d of 12 answered by ICMP: %q, want %q", errors, said.short, want)
		}
	}
}

// silent is a case of services whose clients' SYNs nothing answered, the last the worst.
func silent(services int) *Case {
	p := &evidence.Packets{}
	for i := range services {
		v := &handshake.Service{Server: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1000+i)), Way: handshake.Outbound, Attempts: 100}
		v.Troubles[handshake.SYNUnanswered] = handshake.Repeats{Flows: uint64(i + 1), First: 1e9, Last: 2e9}
		p.Services = append(p.Services, v)
	}
	return &Case{Evidence: &evidence.Evidence{Packets: p}, Lines: timeline.Build(&column.Columns{})}
}

// The worst services are named, and the others counted in one finding that is about all
// of them.
func TestManyServices(t *testing.T) {
	if a := runSYN(silent(mostServices)); len(a.Findings) != 8 || a.Findings[0].Object != "192.0.2.1:1007" {
		t.Errorf("%d findings, the first about %s; want one for each of 8, the worst first", len(a.Findings), a.Findings[0].Object)
	}
	a := runSYN(silent(mostServices + 2))
	rest := a.Findings[len(a.Findings)-1]
	if len(a.Findings) != 9 || rest.Object != "2 other services" || len(rest.Subjects) != 2 || *rest.Evidence[0].Value != 2 {
		t.Errorf("%d findings, the last about %s, %v: %+v", len(a.Findings), rest.Object, rest.Subjects, rest.Evidence)
	}
}

// A SYN-ACK that a repeated SYN asked for is not on the server's schedule.
func TestTimed(t *testing.T) {
	h := &handshake.Handshake{SYNACKs: []flow.Sent{{Time: 0}, {Time: 1e9, Asked: true}, {Time: 3e9}}}
	if own := timed(h); len(own) != 2 || own[1].Time != 3e9 {
		t.Errorf("timed %+v, want the first and the last", own)
	}
}
