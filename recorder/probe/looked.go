//go:build linux

package probe

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/bpf"
)

const (
	// lookedSegments a second and CPU are looked at at the least: a tick has 500 of each CPU, five of which lie beyond
	// the 99th percentile. At 150 ns each they make 0.03 % of it.
	lookedSegments = 2000
	// lookedConnections are looked at at the least, of those that are open, so that what hurts a group of them is seen
	// on one. Few with many segments are a pool of a proxy's upstream.
	lookedConnections = 8
	// lookedTurn is for how long the same connections are looked at: longer than the waits that users bear.
	lookedTurn = 10 * time.Second
)

// looked is which connections the programs look at.
type looked struct {
	cpus   int
	others uint32 // as bpf/tcp.bpf.c has it
	turned time.Time
	turn   uint32
	spans  spans // when not all were
}

// LookAt is told of a tick's TCP segments a second, and of how many connections are open, and has the
// programs look at all connections, or at one in so many of a host that is busy. Of these the
// samples are every one, and counts of them are no longer all that there were.
func (r *RTT) LookAt(now time.Time, segments, connections float64) error {
	p := r.programs
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.looked
	others := l.of(segments, connections)
	if others > 0 && now.Sub(l.turned) >= lookedTurn {
		l.turn, l.turned = l.turn+1, now
		if err := p.loaded.Variables[bpf.TcpVarTurn].Set(l.turn); err != nil {
			return fmt.Errorf("set which connections are looked at: %w", err)
		}
	}
	if others == l.others {
		return nil
	}
	if err := p.loaded.Variables[bpf.TcpVarOthers].Set(others); err != nil {
		return fmt.Errorf("set how many connections are looked at: %w", err)
	}
	switch {
	case l.others == 0:
		l.spans.begin(now)
	case others == 0:
		l.spans.end(now)
	}
	l.others = others
	return nil
}

// of gives others for this rate. It falls only well below the step that it stands on, so that a rate at
// the edge of one does not go up and down.
func (l *looked) of(segments, connections float64) uint32 {
	one := uint32(1)
	for most := min(segments/float64(lookedSegments*l.cpus), connections/lookedConnections); one < 1<<16; one *= 2 {
		if stays := one <= l.others && most >= 1.5*float64(one); !stays && !(most >= 2*float64(one)) {
			break
		}
	}
	return one - 1
}

// Looked gives the spans of a window in which not all connections were looked at.
func (r *RTT) Looked(start, end time.Time) []Span {
	r.programs.mu.Lock()
	defer r.programs.mu.Unlock()
	return r.programs.looked.spans.within(start, end)
}
