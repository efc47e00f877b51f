//go:build linux

package probe

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

var dropProbe = Probe{
	ID:      "drop",
	Doc:     "packets that the kernel gave up, by its reason (5.17) and by the code that did; some as events",
	Attach:  []string{"tp_btf/kfree_skb"},
	Needs:   tracing,
	Without: "why packets disappear inside this host; counters in /proc tell some of the reasons",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		spec, err := bpf.LoadDrop()
		if err != nil {
			return nil, "", fmt.Errorf("read embedded probe drop: %w", err)
		}
		// The reason came with 5.17, the socket that a packet was for with 6.11.
		kept, err := s.hub.choose(spec, "kfree_skb", form{4, bpf.DropProgDropFor}, form{3, bpf.DropProgDropWhy}, form{2, bpf.DropProgDrop})
		if err != nil {
			return nil, "", refuse("drop", err)
		}
		l, err := load(s.hub, wanted{id: "drop", spec: spec,
			vars: map[string]any{bpf.DropVarNetns: o.NetNS, bpf.DropVarPurged: s.Names.DropNumber("QUEUE_PURGE")}})
		if err != nil {
			return nil, "", err
		}
		s.Drops = &Drops{causes: l.Maps[bpf.DropMapDropCauses]}
		return l, kept, nil
	},
}

// Drops is the armed probe of dropped packets.
type Drops struct {
	causes *ebpf.Map
	cause  bpf.DropCause // that is being read
	counts []uint64      // its counts, one a CPU, since CPUs do not share a counter
}

// DropCount is how many packets one place in the kernel dropped for one reason.
type DropCount struct {
	Place  uint64 // address of the code, see Symbols
	Reason uint32 // see ReasonNames; 0 where the kernel has no reasons
	// Unattributed packets told nothing of their network namespace while one is watched: they
	// may be any namespace's, and are no events.
	Unattributed bool
	Count        uint64 // since arming
}

// Read appends the counts since arming to out, in no order. Causes beyond the 1024th
// are missing; the total of those that are not Unattributed is in Events.Counts. Causes are
// never deleted, so that each is met once. An iterator of the library's would allocate an
// error at the end of each walk.
func (d *Drops) Read(out []DropCount) ([]DropCount, error) {
	for before := (*bpf.DropCause)(nil); ; before = &d.cause {
		err := nextKey(d.causes, before, &d.cause)
		if err == unix.ENOENT {
			return out, nil
		}
		if err == nil {
			err = d.causes.Lookup(&d.cause, &d.counts)
		}
		if err != nil {
			return out, fmt.Errorf("read drop causes: %w", err)
		}
		c := DropCount{Place: d.cause.Place, Reason: d.cause.Reason, Unattributed: d.cause.Unattributed != 0}
		for _, n := range d.counts {
			c.Count += n
		}
		out = append(out, c)
	}
}
