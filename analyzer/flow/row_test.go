package flow

import (
	"net/netip"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spikebox/spikebox/analyzer/sketch"
)

// Row is what tests ask of a flow that has ended. It holds copies, as flows are pooled.
type Row struct {
	Flow                              Flow
	Client, Server                    netip.Addr
	ClientPort, ServerPort            uint16
	FirstFrame                        uint64
	SYNRetransmits, SYNACKRetransmits uint32
	SYNOffsets, SYNACKOffsets         []float64
	SYNSchedule, SYNACKSchedule       string
	SYNACKsAnswered                   int
	End, Filter                       string
	C2S, S2C                          sideRow
}

// sideRow is what one side sent.
type sideRow struct {
	Direction
	RTT, Think sketch.Quantiles
}

// sameRows compares all that rows export.
var sameRows = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.IgnoreUnexported(Flow{}, Direction{}, Handshake{}, Sent{}),
}

// Row copies what is valid during the call of a table's sink only.
func (f *Flow) Row() Row {
	c, h := *f, &f.Handshake
	c.Handshake.SYNs, c.Handshake.SYNACKs = slices.Clone(h.SYNs), slices.Clone(h.SYNACKs)
	for i := range c.Dirs {
		c.Dirs[i].FINs = slices.Clone(c.Dirs[i].FINs)
	}
	return Row{
		Flow: c, Client: f.Client.Addr(), ClientPort: f.Client.Port(), Server: f.Server.Addr(), ServerPort: f.Server.Port(),
		FirstFrame: f.FirstFrame, SYNRetransmits: h.SYNRetransmits, SYNACKRetransmits: h.SYNACKRetransmits,
		SYNOffsets: Offsets(h.SYNs), SYNACKOffsets: Offsets(h.SYNACKs),
		SYNSchedule: h.SYNSchedule.String(), SYNACKSchedule: h.SYNACKSchedule.String(),
		SYNACKsAnswered: h.Answered(), End: f.End.String(), Filter: f.Filter(),
		C2S: sideRow{c.Dirs[Client], f.C2S().RTT(), sketch.Quantiles{}}, S2C: sideRow{c.Dirs[Server], f.S2C().RTT(), f.Think()},
	}
}
