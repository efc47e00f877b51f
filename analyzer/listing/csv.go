package listing

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/format/unit"
)

// Rows are appended to a line as bytes, as there may be tens of millions. No cell needs quotes: all are
// numbers, times, addresses and words of ours.

// csvHeader names the columns of Row.csv.
const csvHeader = "src,src_port,dst,dst_port,side,packets,segments,bytes,first,last," +
	"handshake_rtt_ms,syn_retransmits,syn_schedule,synack_retransmits,retransmits," +
	"retransmits_timeout,retransmits_fast,retransmits_probe,retransmits_spurious," +
	"never_captured,reordered,ambiguous,capture_duplicates,zero_windows," +
	"window_probes,window_shrunk,rtt_n,rtt_p50_ms,rtt_p99_ms,rtt_max_ms," +
	"think_p50_ms,think_p99_ms,midstream,one_sided,end," +
	"flow,filter,connect_ms\n"

// csv appends the flow as two lines, what the client sent and what the server sent, with the columns of
// csvHeader.
func (r *Row) csv(b []byte) []byte {
	client, server := netip.AddrPortFrom(r.Client, r.ClientPort), netip.AddrPortFrom(r.Server, r.ServerPort)
	b = r.way(b, client, server, flow.Client, &r.C2S)
	common := len(b)
	b = strconv.AppendBool(b, r.Midstream)
	b = strconv.AppendBool(append(b, ','), r.OneSided)
	b = counts(words(b, r.End), r.Flow)
	b = append(r.filter(append(b, ',')), ',')
	if r.Connect != nil {
		b = unit.AppendDecimal(b, *r.Connect)
	}
	b = append(b, '\n')
	end := len(b)
	b = r.way(b, server, client, flow.Server, &r.S2C)
	return append(b, b[common:end]...)
}

// way appends what is of one direction.
func (r *Row) way(b []byte, src, dst netip.AddrPort, side flow.Side, d *DirectionRow) []byte {
	b = counts(src.Addr().AppendTo(b), uint64(src.Port()))
	b = counts(dst.Addr().AppendTo(append(b, ',')), uint64(dst.Port()))
	b = counts(words(b, side.String()), uint64(d.Packets), uint64(d.Segments), d.Bytes)
	b = r.First.AppendFormat(append(b, ','), time.RFC3339Nano)
	b = r.Last.AppendFormat(append(b, ','), time.RFC3339Nano)
	if b = append(b, ','); r.HandshakeRTT != nil {
		b = unit.AppendDecimal(b, *r.HandshakeRTT)
	}
	b = words(counts(b, uint64(r.SYNRetransmits)), r.SYNSchedule)
	b = counts(b, uint64(r.SYNACKRetransmits), uint64(d.Retransmits),
		uint64(d.RetransmitsTimeout), uint64(d.RetransmitsFast), uint64(d.RetransmitsProbe),
		uint64(d.RetransmitsSpurious), uint64(d.NeverCaptured), uint64(d.Reordered),
		uint64(d.Ambiguous), uint64(d.CaptureDuplicates), uint64(d.ZeroWindows),
		uint64(d.WindowProbes), uint64(d.WindowShrunk), d.RTT.N)
	for _, ms := range [...]float64{d.RTT.P50, d.RTT.P99, d.RTT.Max, d.Think.P50, d.Think.P99} {
		b = unit.AppendDecimal(append(b, ','), ms)
	}
	return append(b, ',')
}

// counts appends whole numbers, each behind a comma.
func counts(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = strconv.AppendUint(append(b, ','), v, 10)
	}
	return b
}

// eventCSVHeader names the columns of EventRow.csv, as the JSON form does.
const eventCSVHeader = "flow,time,offset_s,input,frame,side,event,seq,len,number,segments," +
	"bytes,ms,mechanism,backoff,never_captured,evidence,state,icmp_type,icmp_code\n"

// csv appends a line with the columns of eventCSVHeader; what does not belong to the kind of event is
// empty.
func (r *EventRow) csv(b []byte) []byte {
	b = strconv.AppendUint(b, r.Flow, 10)
	b = r.Time.AppendFormat(append(b, ','), time.RFC3339Nano)
	// Nine digits, the clock's ns: the shortest form would have exponents, which awk and
	// spreadsheets take for text.
	b = strconv.AppendFloat(append(b, ','), r.Offset, 'f', 9, 64)
	b = counts(b, uint64(r.Input), r.Frame)
	b = words(b, r.Side, r.Event)
	b = counts(b, uint64(r.Seq), uint64(r.Len))
	b = optional(b, r.Number, r.Segments, r.Bytes)
	if b = append(b, ','); r.Duration != nil {
		b = strconv.AppendFloat(b, *r.Duration, 'f', -1, 64)
	}
	b = counts(words(b, r.Mechanism), uint64(r.Backoff))
	b = strconv.AppendBool(append(b, ','), r.NeverCaptured)
	b = optional(words(b, r.Evidence, r.State), r.ICMPType, r.ICMPCode)
	return append(b, '\n')
}

// words appends words, each behind a comma.
func words(b []byte, list ...string) []byte {
	for _, w := range list {
		b = append(append(b, ','), w...)
	}
	return b
}

// optional appends whole numbers that may be missing, each behind a comma.
func optional(b []byte, values ...*int64) []byte {
	for _, v := range values {
		if b = append(b, ','); v != nil {
			b = strconv.AppendInt(b, *v, 10)
		}
	}
	return b
}
