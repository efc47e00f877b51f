package flow

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
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
	End                string       `json:"end"`
	ResetState         string       `json:"reset_state,omitempty"`
	ICMPErrors         uint32       `json:"icmp_errors"`
	MPTCP              bool         `json:"mptcp"`
	TFO                bool         `json:"tfo"`
	C2S                DirectionRow `json:"c2s"`
	S2C                DirectionRow `json:"s2c"`
	Flow               uint64       `json:"flow"`
	Filter             string       `json:"filter"`
}

// DirectionRow is what one side of a flow sent; the fields are those of [Direction].
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

// Row returns the flow in its JSON form.
func (f *Flow) Row() Row {
	h := &f.Handshake
	return Row{
		Client: f.Client.Addr(), ClientPort: f.Client.Port(),
		Server: f.Server.Addr(), ServerPort: f.Server.Port(),
		First: time.Unix(0, f.First).UTC(), Last: time.Unix(0, f.Last).UTC(),
		Input: f.Input, FirstFrame: f.FirstFrame, LastFrame: f.LastFrame,
		Midstream: f.Midstream, OneSided: f.OneSided, Truncated: f.Truncated, PortReuse: f.PortReuse,
		SYNRetransmits: h.SYNRetransmits, SYNOffsets: Offsets(h.SYNs),
		SYNSchedule: h.SYNSchedule.String(), SYNSchedules: h.SYNSchedules.names(),
		SYNACKRetransmits: h.SYNACKRetransmits, SYNACKOffsets: Offsets(h.SYNACKs),
		SYNACKSchedule: h.SYNACKSchedule.String(), SYNACKSchedules: h.SYNACKSchedules.names(),
		SYNACKsAnswered: h.Answered(),
		HandshakeRTT:    millis(h.RTT()), HandshakeServerRTT: millis(h.ServerRTT),
		HandshakeClientRTT: millis(h.ClientRTT),
		End:                f.End.String(), ResetState: f.ResetState.String(), ICMPErrors: f.ICMPErrors,
		MPTCP: f.MPTCP, TFO: f.TFO,
		C2S: f.C2S().row(Quantiles{}), S2C: f.S2C().row(f.Think()),
		Flow: f.Number(), Filter: f.Filter(),
	}
}

// Number returns the number of the flow among all of the table, in the order of their first packets
// and from 1: the same inputs always give it the same.
func (f *Flow) Number() uint64 { return f.order + 1 }

// row returns the direction in its JSON form.
func (d *Direction) row(think Quantiles) DirectionRow {
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
		DupAcks: d.DupAcks, Resets: d.Resets, Fins: d.Fins, FINOffsets: Offsets(d.FINs),
		AckedUnseen: d.AckedUnseen,
		RTT:         d.RTT(), Think: think,
	}
}

// Answered counts the SYN-ACK repetitions before which an ACK of an earlier one had been captured:
// the host received an answer and did not take it.
func (h *Handshake) Answered() (n int) {
	for _, s := range h.SYNACKs[min(1, len(h.SYNACKs)):] {
		if s.Answered {
			n++
		}
	}
	return n
}

// names returns the names of the set's schedules, which nobody may write to.
func (set ScheduleSet) names() []string {
	// Nearly every set has one member: its name is there, and nothing is allocated.
	if s := set.first(); set == 1<<s {
		return scheduleNames[s : s+1 : s+1]
	}
	names := []string{}
	for _, s := range set.List() {
		names = append(names, s.String())
	}
	return names
}

// millis turns ns into milliseconds, and a negative number into nil: not to be told.
func millis(ns int64) *float64 {
	if ns < 0 {
		return nil
	}
	ms := float64(ns) / 1e6
	return &ms
}

// Filter returns the Wireshark display filter that shows exactly this flow: its addresses and
// ports in both directions, within its own time, because ports are used again.
func (f *Flow) Filter() string {
	b := make([]byte, 0, 320)
	b = appendWay(append(b, '('), f.Client, f.Server)
	b = appendWay(append(b, " || "...), f.Server, f.Client)
	b = appendEpoch(append(b, ") && frame.time_epoch >= "...), f.First)
	b = appendEpoch(append(b, " && frame.time_epoch <= "...), f.Last)
	return string(b)
}

// appendWay appends the filter for one direction.
func appendWay(b []byte, src, dst netip.AddrPort) []byte {
	from, to := "(ip.src == ", " && ip.dst == "
	if src.Addr().Is6() {
		from, to = "(ipv6.src == ", " && ipv6.dst == "
	}
	b = src.Addr().AppendTo(append(b, from...))
	b = strconv.AppendUint(append(b, " && tcp.srcport == "...), uint64(src.Port()), 10)
	b = dst.Addr().AppendTo(append(b, to...))
	b = strconv.AppendUint(append(b, " && tcp.dstport == "...), uint64(dst.Port()), 10)
	return append(b, ')')
}

// appendEpoch appends Unix ns as the decimal seconds that Wireshark compares frame.time_epoch with.
func appendEpoch(b []byte, ns int64) []byte {
	b = strconv.AppendInt(b, ns/1e9, 10)
	point := len(b)
	b = strconv.AppendInt(b, 1e9+ns%1e9, 10) // nine digits behind a one
	b[point] = '.'
	return b
}

// CSVHeader names the columns of CSV.
var CSVHeader = []string{
	"src", "src_port", "dst", "dst_port", "side", "packets", "segments", "bytes", "first", "last",
	"handshake_rtt_ms", "syn_retransmits", "syn_schedule", "synack_retransmits", "retransmits",
	"retransmits_timeout", "retransmits_fast", "retransmits_probe", "retransmits_spurious",
	"never_captured", "reordered", "ambiguous", "capture_duplicates", "zero_windows",
	"window_probes", "window_shrunk", "rtt_n", "rtt_p50_ms", "rtt_p99_ms", "rtt_max_ms",
	"think_p50_ms", "think_p99_ms", "midstream", "one_sided", "end",
	"flow", "filter",
}

// CSV returns the flow as two rows, what the client sent and what the server sent, with the columns
// of CSVHeader.
func (f *Flow) CSV() [2][]string {
	row := f.Row()
	return row.CSV()
}

// CSV is [Flow.CSV] of a flow that is no more.
func (r *Row) CSV() [2][]string {
	client, server := netip.AddrPortFrom(r.Client, r.ClientPort), netip.AddrPortFrom(r.Server, r.ServerPort)
	return [2][]string{
		r.csv(client, server, Client, &r.C2S),
		r.csv(server, client, Server, &r.S2C),
	}
}

// csv formats one direction.
func (r *Row) csv(src, dst netip.AddrPort, side Side, d *DirectionRow) []string {
	rtt := ""
	if r.HandshakeRTT != nil {
		rtt = decimal(*r.HandshakeRTT)
	}
	fields := []string{
		src.Addr().String(), strconv.Itoa(int(src.Port())), dst.Addr().String(),
		strconv.Itoa(int(dst.Port())), side.String(),
	}
	fields = append(fields, counts(uint64(d.Packets), uint64(d.Segments), d.Bytes)...)
	fields = append(fields, r.First.Format(time.RFC3339Nano), r.Last.Format(time.RFC3339Nano), rtt)
	fields = append(fields, counts(uint64(r.SYNRetransmits))...)
	fields = append(fields, r.SYNSchedule)
	fields = append(fields, counts(uint64(r.SYNACKRetransmits), uint64(d.Retransmits),
		uint64(d.RetransmitsTimeout), uint64(d.RetransmitsFast), uint64(d.RetransmitsProbe),
		uint64(d.RetransmitsSpurious), uint64(d.NeverCaptured), uint64(d.Reordered),
		uint64(d.Ambiguous), uint64(d.CaptureDuplicates), uint64(d.ZeroWindows),
		uint64(d.WindowProbes), uint64(d.WindowShrunk), d.RTT.N)...)
	return append(fields, decimal(d.RTT.P50), decimal(d.RTT.P99), decimal(d.RTT.Max),
		decimal(d.Think.P50), decimal(d.Think.P99),
		strconv.FormatBool(r.Midstream), strconv.FormatBool(r.OneSided), r.End,
		strconv.FormatUint(r.Flow, 10), r.Filter)
}

// counts formats whole numbers.
func counts(values ...uint64) []string {
	fields := make([]string, len(values))
	for i, v := range values {
		fields[i] = strconv.FormatUint(v, 10)
	}
	return fields
}

// decimal formats milliseconds with microseconds' precision and no trailing zeros.
func decimal(ms float64) string {
	text := strconv.FormatFloat(ms, 'f', 3, 64)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}
