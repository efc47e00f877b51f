package check

import (
	"net/netip"
	"testing"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/timeline"
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
