package story

import (
	"errors"
	"io"
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/dissect"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/packet"
)

// ends are a connection by its two ends.
type ends struct{ client, server netip.AddrPort }

// Packet is one packet as a line.
type Packet struct {
	Frame   uint64
	Time    int64 // Unix ns
	Way     string
	Summary string
	p       packet.Packet
}

const (
	// mostLines is how many packets of a connection are shown: more are Wireshark's work.
	mostLines = 40
	// mostDrawn is how many packets of one connection are drawn.
	mostDrawn = 40_000
)

// wanted is a connection whose packets the second pass keeps.
type wanted struct {
	ends
	from, to int64 // Unix ns; 0: unbounded
	drawn    bool  // every packet is kept, and not only the first ones
	lines    []Packet
	packets  []packet.Packet
	more     int // packets that are not kept
}

// has says whether a packet is the connection's.
func (w *wanted) has(p *packet.Packet, src, dst netip.AddrPort) bool {
	if p.Time < w.from || w.to != 0 && p.Time > w.to {
		return false
	}
	return src == w.client && dst == w.server || src == w.server && dst == w.client
}

// Opener opens the packets of an input by its path.
type Opener func(path string) (*evidence.Records, error)

// fetch makes the second pass: it reads the packets of the connections that are shown. The first
// cannot know which these are. What came through a pipe is left out.
func fetch(list []*wanted, inputs []evidence.Input, open Opener) error {
	if len(list) == 0 || open == nil {
		return nil
	}
	for _, in := range inputs {
		if in.Once {
			continue
		}
		r, err := open(in.Path)
		if errors.Is(err, evidence.ErrNoPackets) {
			continue
		}
		if err != nil {
			return err
		}
		err = scan(list, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// scan reads one input, to the last packet that anybody wants. Damage ends it: the report says so already.
func scan(list []*wanted, in *evidence.Records) error {
	last := int64(0)
	known := map[netip.AddrPort]bool{}
	for _, w := range list {
		known[w.client], known[w.server] = true, true
		if w.to == 0 {
			last = 1<<63 - 1
		}
		last = max(last, w.to)
	}
	var rec packet.Record
	for {
		var lost *packet.DamageError
		switch err := in.Next(&rec); {
		case err == io.EOF || errors.As(err, &lost):
			return nil
		case err != nil:
			return err
		}
		// Interfaces' packets come slightly out of order.
		if rec.Time > last && rec.Time-last > 1e9 {
			return nil
		}
		if rec.Kind != packet.TCP {
			continue
		}
		src, dst := rec.SrcAddrPort(), rec.DstAddrPort()
		if !known[src] || !known[dst] {
			continue
		}
		for _, w := range list {
			if w.has(&rec.Packet, src, dst) {
				w.keep(&rec, in)
			}
		}
	}
}

// keep takes a packet.
func (w *wanted) keep(rec *packet.Record, in *evidence.Records) {
	full := len(w.lines) >= mostLines
	if !full {
		link := in.Interfaces()[rec.Interface].LinkType
		way := map[packet.Dir]string{packet.DirIn: "in", packet.DirOut: "out"}[rec.Dir]
		w.lines = append(w.lines, Packet{rec.Frame, rec.Time, way, dissect.Summary(rec, link), rec.Packet})
	}
	switch {
	case w.drawn && len(w.packets) < mostDrawn:
		w.packets = append(w.packets, rec.Packet)
	case full:
		w.more++
	}
}
