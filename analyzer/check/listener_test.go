package check

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/member"
)

func TestProposedBacklog(t *testing.T) {
	for _, tt := range []struct {
		limit  uint32
		over   float64
		lasted time.Duration
		want   int
	}{
		{128, 10, time.Second, 1024},
		{1000, 25, time.Second, 2048}, // what the queue held, and what overflowed beside it
		{1000, 25, 5 * time.Second, 1024},
		{1000, 25, 100 * time.Millisecond, 2048}, // never more than what was counted
		{4096, 1e6, time.Second, 65535},
	} {
		if got := proposedBacklog(tt.limit, tt.over, tt.lasted); got != tt.want {
			t.Errorf("%v over %d within %v: %d, want %d", tt.over, tt.limit, tt.lasted, got, tt.want)
		}
	}
}

// listening is a case with sockets that listen at ports, with a queue and its limit.
func listening(queues ...[3]uint32) *Case {
	e := &evidence.Evidence{}
	for _, q := range queues {
		e.Sockets = append(e.Sockets, member.Socket{
			State: "LISTEN", Local: netip.MustParseAddr("0.0.0.0"), LocalPort: uint16(q[0]), RecvQ: q[1], SendQ: q[2],
			Process: []member.Process{{PID: int(q[0])}},
		})
	}
	return &Case{Evidence: e}
}

// The fullest queue comes first, by its share; at the limit none is overfull.
func TestOverfull(t *testing.T) {
	c := listening([3]uint32{80, 129, 128}, [3]uint32{81, 9, 4}, [3]uint32{82, 128, 128})
	all := c.overfull()
	if len(all) != 2 || all[0].at.String() != "*:81" || all[1].at.String() != "*:80" {
		t.Fatalf("overfull are %v, want *:81 and *:80", names(all))
	}
	want := []subject.Subject{subject.Listener{Addr: netip.MustParseAddrPort("0.0.0.0:81")}, subject.Process{PID: 81}}
	if got := all[0].subjects(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("subjects %v, want %v", got, want)
	}
}

// Without an overfull queue the listener whose clients were ignored most is named.
func TestIgnoring(t *testing.T) {
	c := listening([3]uint32{80, 0, 128}, [3]uint32{81, 0, 128}, [3]uint32{82, 0, 128})
	c.Evidence.Packets = &evidence.Packets{}
	for port, flows := range map[uint16]uint64{80: 3, 81: 7, 82: 2, 83: 50} { // nothing listens on 83
		v := &handshake.Service{Server: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), Way: handshake.Inbound}
		v.Troubles[handshake.SYNACKAnswered].Flows = flows
		c.Evidence.Packets.Services = append(c.Evidence.Packets.Services, v)
	}
	if l := c.ignoring(); l == nil || l.at.Addr.Port() != 81 || !l.guess {
		t.Errorf("named %+v, want the guess *:81", l)
	}
}

// A longer backlog helps only up to somaxconn, so that this is named only where it limits;
// 511 is a program's default.
func TestOverflowRemedy(t *testing.T) {
	for _, tt := range []struct {
		limit     uint32
		somaxconn string
		remedies  int
		classic   bool
	}{
		{128, "4096", 2, false}, {4096, "4096", 3, false}, {128, "", 2, false}, {511, "4096", 2, true},
	} {
		c := &Case{Evidence: &evidence.Evidence{Settings: evidence.Settings{}}}
		if tt.somaxconn != "" {
			c.Evidence.Settings["net/core/somaxconn"] = tt.somaxconn
		}
		got := c.overflowRemedy(10, []*listener{{limit: tt.limit}}, &Finding{})
		backlog := got[len(got)-1].What
		if len(got) != tt.remedies || tt.classic != strings.Contains(backlog, "built-in default") {
			t.Errorf("limit %d, somaxconn %q: %d remedies, the last %q", tt.limit, tt.somaxconn, len(got), backlog)
		}
	}
}
