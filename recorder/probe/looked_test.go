//go:build linux

package probe

import (
	"io"
	"math"
	"net"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Of many connections with many segments one in four is looked at, the others in the turns that follow: in four of
// them each request gives one time.
func TestLookedAt(t *testing.T) {
	const connections, turns = 40, 4
	ns := testns.New(t)
	s := open(t, &responseProbe, inode(t, ns))
	if s == nil {
		return
	}
	_, err := s.open(&rttProbe, Options{})
	must(t, err)
	testns.Do(t, ns, func() {
		var clients, servers [connections]net.Conn
		for i := range connections {
			clients[i], servers[i] = connected(t)
		}
		say := func(from, to net.Conn) {
			_, err := from.Write(make([]byte, 10))
			must(t, err)
			_, err = io.ReadFull(to, make([]byte, 10))
			must(t, err)
			acknowledged(t, from)
		}
		talk := func() (got Responses, trips uint64) {
			s.RTT.read(t)
			for i := range connections {
				say(clients[i], servers[i])
				say(servers[i], clients[i])
			}
			must(t, s.Response.Read(&got))
			samples, _ := s.RTT.read(t)
			return got, samples.Count
		}
		now := time.Now()
		all, trips := talk()
		if all.Serve.Count != connections || all.Upstream.Count != connections {
			t.Fatalf("at first %d serve times and %d upstream times, want %d", all.Serve.Count, all.Upstream.Count, connections)
		}
		var serve, upstream, some uint64
		for i := range turns {
			must(t, s.RTT.LookAt(now.Add(time.Duration(i)*lookedTurn), float64(turns*lookedSegments*s.tcp.looked.cpus), connections))
			got, n := talk()
			serve, upstream, some = serve+got.Serve.Count, upstream+got.Upstream.Count, some+n
			if got.Serve.Count == connections {
				t.Errorf("turn %d: all connections were looked at", i)
			}
		}
		// What an upstream is asked first in a turn may have followed what nobody looked at.
		if serve != connections || upstream > connections || some != trips {
			t.Errorf("%d serve times, %d upstream times, %d round trips in all turns, want %d, %d or fewer, %d", serve, upstream, some, connections, connections, trips)
		}
		end := now.Add(turns * lookedTurn)
		must(t, s.RTT.LookAt(end, 0, connections))
		if all, _ = talk(); all.Serve.Count != connections {
			t.Errorf("%d serve times once nothing is left out, want %d", all.Serve.Count, connections)
		}
		at := end
		look := func() {
			at = at.Add(lookedTurn)
			must(t, s.RTT.LookAt(at, float64(turns*lookedSegments*s.tcp.looked.cpus), connections))
		}
		// What is asked in one turn and answered in the next is no wait in the one in which it is looked at again.
		for _, then := range []func(i int){
			func(i int) { say(clients[i], servers[i]); say(servers[i], clients[i]) },
			func(i int) { servers[i].Close() },
		} {
			look()
			for i := range connections {
				say(clients[i], servers[i])
			}
			look()
			for i := range connections {
				say(servers[i], clients[i])
			}
			look()
			look()
			look()
			must(t, s.Response.Read(&all))
			for i := range connections {
				then(i)
			}
			must(t, s.Response.Read(&all))
			if all.Upstream.Count > 0 || all.UpstreamDismissed > 0 {
				t.Errorf("%d upstream times and %d dismissed requests of what nobody saw the answer of", all.Upstream.Count, all.UpstreamDismissed)
			}
		}
		if spans := s.RTT.Looked(now, end); len(spans) != 1 || !spans[0].From.Equal(now) || !spans[0].To.Equal(end) {
			t.Errorf("not all were looked at in %v, want from %v to %v", spans, now, end)
		}
	})
}

func TestLookedAtSteps(t *testing.T) {
	l := looked{cpus: 2}
	for _, c := range []struct {
		segments, connections float64
		oneIn                 uint32
	}{
		{2 * 1.9 * lookedSegments, 1e6, 1},
		{2 * 2 * lookedSegments, 1e6, 2},
		{2 * 1.6 * lookedSegments, 1e6, 2}, // below the step, not well below
		{2 * 1.4 * lookedSegments, 1e6, 1},
		{2 * 1.6 * lookedSegments, 1e6, 1},
		{2 * 100 * lookedSegments, 1e6, 64},
		{2 * 100 * lookedSegments, 11, 1}, // few connections with many segments
		{2 * 100 * lookedSegments, 40, 4},
		{1e12, 1e12, 1 << 16},
		{0, 1e6, 1},
		{math.NaN(), math.NaN(), 1},
	} {
		if l.others = l.of(c.segments, c.connections); l.others+1 != c.oneIn {
			t.Errorf("%g segments a second, %g connections: one in %d, want %d", c.segments, c.connections, l.others+1, c.oneIn)
		}
	}
}
