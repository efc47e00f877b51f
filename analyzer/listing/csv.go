package listing

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/format/unit"
)

// csvHeader names the columns of Row.csv.
var csvHeader = []string{
	"src", "src_port", "dst", "dst_port", "side", "packets", "segments", "bytes", "first", "last",
	"handshake_rtt_ms", "syn_retransmits", "syn_schedule", "synack_retransmits", "retransmits",
	"retransmits_timeout", "retransmits_fast", "retransmits_probe", "retransmits_spurious",
	"never_captured", "reordered", "ambiguous", "capture_duplicates", "zero_windows",
	"window_probes", "window_shrunk", "rtt_n", "rtt_p50_ms", "rtt_p99_ms", "rtt_max_ms",
	"think_p50_ms", "think_p99_ms", "midstream", "one_sided", "end",
	"flow", "filter",
}

// csv gives the flow as two rows, what the client sent and what the server sent, with the columns of
// csvHeader.
func (r *Row) csv() [][]string {
	client, server := netip.AddrPortFrom(r.Client, r.ClientPort), netip.AddrPortFrom(r.Server, r.ServerPort)
	return [][]string{
		r.way(client, server, flow.Client, &r.C2S),
		r.way(server, client, flow.Server, &r.S2C),
	}
}

// way formats one direction.
func (r *Row) way(src, dst netip.AddrPort, side flow.Side, d *DirectionRow) []string {
	rtt := ""
	if r.HandshakeRTT != nil {
		rtt = unit.Decimal(*r.HandshakeRTT)
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
	return append(fields, unit.Decimal(d.RTT.P50), unit.Decimal(d.RTT.P99), unit.Decimal(d.RTT.Max),
		unit.Decimal(d.Think.P50), unit.Decimal(d.Think.P99),
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

// eventCSVHeader names the columns of EventRow.csv, as the JSON form does.
var eventCSVHeader = []string{
	"flow", "time", "offset_s", "input", "frame", "side", "event", "seq", "len", "number", "segments",
	"bytes", "ms", "mechanism", "backoff", "never_captured", "evidence", "state", "icmp_type", "icmp_code",
}

// csv gives the columns of eventCSVHeader; what does not belong to the kind of event is empty.
func (r *EventRow) csv() []string {
	optional := func(n *int64) string {
		if n == nil {
			return ""
		}
		return strconv.FormatInt(*n, 10)
	}
	ms := ""
	if r.Duration != nil {
		ms = strconv.FormatFloat(*r.Duration, 'f', -1, 64)
	}
	// Nine digits, the clock's ns: the shortest form would have exponents, which awk and
	// spreadsheets take for text.
	return []string{
		strconv.FormatUint(r.Flow, 10), r.Time.Format(time.RFC3339Nano), strconv.FormatFloat(r.Offset, 'f', 9, 64),
		strconv.Itoa(int(r.Input)), strconv.FormatUint(r.Frame, 10), r.Side, r.Event,
		strconv.FormatUint(uint64(r.Seq), 10), strconv.FormatUint(uint64(r.Len), 10),
		optional(r.Number), optional(r.Segments), optional(r.Bytes), ms,
		r.Mechanism, strconv.Itoa(int(r.Backoff)), strconv.FormatBool(r.NeverCaptured), r.Evidence, r.State,
		optional(r.ICMPType), optional(r.ICMPCode),
	}
}
