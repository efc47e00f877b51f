// Package listing lists connections and what happened in one of them: as rows for
// programs (JSON Lines, CSV) and as tables for people, in the order in which they ended or
// ranked, all of them or some. Package flow follows packets and knows nothing of it.
package listing

import (
	"net/netip"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Row is a flow in the form of `spikebox flows --json`: one object a line. Names are never changed or
// removed, because scripts rely on them; new ones may be added. Round trips that are not to be told
// are null, as a number would be taken for one.
//
// Flow is the number of the flow: the first to begin has 1. Input is the index of the input in which
// the frame numbers count.
type Row struct {
	Client             netip.Addr   `json:"client"`
	ClientPort         uint16       `json:"client_port"`
	Server             netip.Addr   `json:"server"`
	ServerPort         uint16       `json:"server_port"`
	First              time.Time    `json:"first"`
	Last               time.Time    `json:"last"`
	Input              uint16       `json:"input"`
	FirstFrame         uint64       `json:"first_frame"`
	LastFrame          uint64       `json:"last_frame"`
	Midstream          bool         `json:"midstream"`
	OneSided           bool         `json:"one_sided"`
	Truncated          bool         `json:"truncated"`
	PortReuse          bool         `json:"port_reuse"`
	SYNRetransmits     uint32       `json:"syn_retransmits"`
	SYNOffsets         []float64    `json:"syn_offsets_s"`
	SYNSchedule        string       `json:"syn_schedule"`
	SYNSchedules       []string     `json:"syn_schedules"`
	SYNACKRetransmits  uint32       `json:"synack_retransmits"`
	SYNACKOffsets      []float64    `json:"synack_offsets_s"`
	SYNACKSchedule     string       `json:"synack_schedule"`
	SYNACKSchedules    []string     `json:"synack_schedules"`
	SYNACKsAnswered    int          `json:"synack_retransmits_answered"`
	HandshakeRTT       *float64     `json:"handshake_rtt_ms"` // null when not to be told
	HandshakeServerRTT *float64     `json:"handshake_server_rtt_ms"`
	HandshakeClientRTT *float64     `json:"handshake_client_rtt_ms"`
	Connect            *float64     `json:"connect_ms"` // first SYN to the client's ACK; null where either is not there
	End                string       `json:"end"`
	ResetState         string       `json:"reset_state,omitempty"`
	ICMPErrors         uint32       `json:"icmp_errors"`
	MPTCP              bool         `json:"mptcp"`
	TFO                bool         `json:"tfo"`
	C2S                DirectionRow `json:"c2s"`
	S2C                DirectionRow `json:"s2c"`
	Flow               uint64       `json:"flow"`
	// Behind these comes "filter", for Wireshark.
}

// DirectionRow is what one side of a flow sent; the fields are those of [flow.Direction].
type DirectionRow struct {
	Packets             uint32    `json:"packets"`
	Segments            uint32    `json:"segments"`
	Bytes               uint64    `json:"bytes"`
	UniqueBytes         uint64    `json:"unique_bytes"`
	RetransmittedBytes  uint64    `json:"retransmitted_bytes"`
	Retransmits         uint32    `json:"retransmits"`
	RetransmitsTimeout  uint32    `json:"retransmits_timeout"`
	RetransmitsFast     uint32    `json:"retransmits_fast"`
	RetransmitsProbe    uint32    `json:"retransmits_probe"`
	RetransmitsUnknown  uint32    `json:"retransmits_unknown"`
	RetransmitsSpurious uint32    `json:"retransmits_spurious"`
	MaxBackoff          uint8     `json:"max_backoff"`
	NeverCaptured       uint32    `json:"never_captured"`
	Reordered           uint32    `json:"reordered"`
	Ambiguous           uint32    `json:"ambiguous"`
	CaptureDuplicates   uint32    `json:"capture_duplicates"`
	ZeroWindows         uint32    `json:"zero_windows"`
	ZeroWindowMs        float64   `json:"zero_window_ms"`
	WindowProbes        uint32    `json:"window_probes"`
	WindowFull          uint32    `json:"window_full"`
	WindowShrunk        uint32    `json:"window_shrunk"`
	KeepAlives          uint32    `json:"keep_alives"`
	DupAcks             uint32    `json:"dup_acks"`
	Resets              uint32    `json:"resets"`
	Fins                uint32    `json:"fins"`
	FINOffsets          []float64 `json:"fin_offsets_s"`
	AckedUnseen         uint64    `json:"acked_unseen_bytes"`
	RTT                 Quantiles `json:"rtt_ms"`
	Think               Quantiles `json:"think_ms"` // of the server side; empty for the client
}

// Quantiles is [sketch.Quantiles].
type Quantiles struct {
	N   uint64  `json:"n"`
	Min float64 `json:"min"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// MakeRow gives the row of a flow that has ended.
func MakeRow(f *flow.Flow) Row {
	h := &f.Handshake
	return Row{
		Client: f.Client.Addr(), ClientPort: f.Client.Port(),
		Server: f.Server.Addr(), ServerPort: f.Server.Port(),
		First: time.Unix(0, f.First).UTC(), Last: time.Unix(0, f.Last).UTC(),
		Input: f.Input, FirstFrame: f.FirstFrame, LastFrame: f.LastFrame,
		Midstream: f.Midstream, OneSided: f.OneSided, Truncated: f.Truncated, PortReuse: f.PortReuse,
		SYNRetransmits: h.SYNRetransmits, SYNOffsets: flow.Offsets(h.SYNs),
		SYNSchedule: h.SYNSchedule.String(), SYNSchedules: h.SYNSchedules.Names(),
		SYNACKRetransmits: h.SYNACKRetransmits, SYNACKOffsets: flow.Offsets(h.SYNACKs),
		SYNACKSchedule: h.SYNACKSchedule.String(), SYNACKSchedules: h.SYNACKSchedules.Names(),
		SYNACKsAnswered: h.Answered(),
		HandshakeRTT:    millis(h.RTT()), HandshakeServerRTT: millis(h.ServerRTT),
		HandshakeClientRTT: millis(h.ClientRTT), Connect: millis(h.ConnectTime()),
		End: f.End.String(), ResetState: f.ResetState.String(), ICMPErrors: f.ICMPErrors,
		MPTCP: f.MPTCP, TFO: f.TFO,
		C2S: direction(f.C2S(), Quantiles{}), S2C: direction(f.S2C(), Quantiles(f.Think())),
		Flow: f.Number(),
	}
}

// filter appends [flow.Flow.Filter], which is twice as long as the rest and made only where it is shown.
func (r *Row) filter(b []byte) []byte {
	client, server := netip.AddrPortFrom(r.Client, r.ClientPort), netip.AddrPortFrom(r.Server, r.ServerPort)
	return flow.AppendFilter(b, client, server, r.First.UnixNano(), r.Last.UnixNano())
}

// direction gives the part of a row that is about one side.
func direction(d *flow.Direction, think Quantiles) DirectionRow {
	return DirectionRow{
		Packets: d.Packets, Segments: d.Segments, Bytes: d.Bytes, UniqueBytes: d.UniqueBytes,
		RetransmittedBytes: d.RetransmittedBytes, Retransmits: d.Retransmits,
		RetransmitsTimeout: d.RetransmitsTimeout, RetransmitsFast: d.RetransmitsFast,
		RetransmitsProbe: d.RetransmitsProbe, RetransmitsUnknown: d.RetransmitsUnknown,
		RetransmitsSpurious: d.RetransmitsSpurious, MaxBackoff: d.MaxBackoff,
		NeverCaptured: d.NeverCaptured, Reordered: d.Reordered, Ambiguous: d.Ambiguous,
		CaptureDuplicates: d.CaptureDuplicates, ZeroWindows: d.ZeroWindows,
		ZeroWindowMs: float64(d.ZeroWindowTime) / 1e6, WindowProbes: d.WindowProbes,
		WindowFull: d.WindowFull, WindowShrunk: d.WindowShrunk, KeepAlives: d.KeepAlives,
		DupAcks: d.DupAcks, Resets: d.Resets, Fins: d.Fins, FINOffsets: flow.Offsets(d.FINs),
		AckedUnseen: d.AckedUnseen,
		RTT:         Quantiles(d.RTT()), Think: think,
	}
}

// millis turns ns into milliseconds, and a negative number into nil: not to be told.
func millis(ns int64) *float64 {
	if ns < 0 {
		return nil
	}
	ms := float64(ns) / 1e6
	return &ms
}
