package listing

import (
	"encoding/json"
	"strconv"
	"time"
)

// Rows are appended to a line as encoding/json would write them, which takes ten times as long. No string
// needs an escape: all are times, addresses and words of ours.

// json appends the flow and a line feed.
func (r *Row) json(b []byte) []byte {
	b = r.Client.AppendTo(append(b, `{"client":"`...))
	b = member(b, `","client_port":`, uint64(r.ClientPort))
	b = r.Server.AppendTo(append(b, `,"server":"`...))
	b = member(b, `","server_port":`, uint64(r.ServerPort))
	b = r.First.AppendFormat(append(b, `,"first":"`...), time.RFC3339Nano)
	b = r.Last.AppendFormat(append(b, `","last":"`...), time.RFC3339Nano)
	b = member(b, `","input":`, uint64(r.Input))
	b = member(b, `,"first_frame":`, r.FirstFrame)
	b = member(b, `,"last_frame":`, r.LastFrame)
	b = truth(b, `,"midstream":`, r.Midstream)
	b = truth(b, `,"one_sided":`, r.OneSided)
	b = truth(b, `,"truncated":`, r.Truncated)
	b = truth(b, `,"port_reuse":`, r.PortReuse)
	b = member(b, `,"syn_retransmits":`, uint64(r.SYNRetransmits))
	b = numbers(b, `,"syn_offsets_s":`, r.SYNOffsets)
	b = word(b, `,"syn_schedule":`, r.SYNSchedule)
	b = list(b, `,"syn_schedules":`, r.SYNSchedules)
	b = member(b, `,"synack_retransmits":`, uint64(r.SYNACKRetransmits))
	b = numbers(b, `,"synack_offsets_s":`, r.SYNACKOffsets)
	b = word(b, `,"synack_schedule":`, r.SYNACKSchedule)
	b = list(b, `,"synack_schedules":`, r.SYNACKSchedules)
	b = member(b, `,"synack_retransmits_answered":`, uint64(r.SYNACKsAnswered))
	b = nullable(b, `,"handshake_rtt_ms":`, r.HandshakeRTT)
	b = nullable(b, `,"handshake_server_rtt_ms":`, r.HandshakeServerRTT)
	b = nullable(b, `,"handshake_client_rtt_ms":`, r.HandshakeClientRTT)
	b = nullable(b, `,"connect_ms":`, r.Connect)
	b = word(b, `,"end":`, r.End)
	if r.ResetState != "" {
		b = word(b, `,"reset_state":`, r.ResetState)
	}
	b = member(b, `,"icmp_errors":`, uint64(r.ICMPErrors))
	b = truth(b, `,"mptcp":`, r.MPTCP)
	b = truth(b, `,"tfo":`, r.TFO)
	b = r.C2S.json(append(b, `,"c2s":`...))
	b = r.S2C.json(append(b, `,"s2c":`...))
	b = member(b, `,"flow":`, r.Flow)
	b = r.filter(append(b, `,"filter":"`...))
	return append(b, "\"}\n"...)
}

// json appends one side's part.
func (d *DirectionRow) json(b []byte) []byte {
	b = member(b, `{"packets":`, uint64(d.Packets))
	b = member(b, `,"segments":`, uint64(d.Segments))
	b = member(b, `,"bytes":`, d.Bytes)
	b = member(b, `,"unique_bytes":`, d.UniqueBytes)
	b = member(b, `,"retransmitted_bytes":`, d.RetransmittedBytes)
	b = member(b, `,"retransmits":`, uint64(d.Retransmits))
	b = member(b, `,"retransmits_timeout":`, uint64(d.RetransmitsTimeout))
	b = member(b, `,"retransmits_fast":`, uint64(d.RetransmitsFast))
	b = member(b, `,"retransmits_probe":`, uint64(d.RetransmitsProbe))
	b = member(b, `,"retransmits_unknown":`, uint64(d.RetransmitsUnknown))
	b = member(b, `,"retransmits_spurious":`, uint64(d.RetransmitsSpurious))
	b = member(b, `,"max_backoff":`, uint64(d.MaxBackoff))
	b = member(b, `,"never_captured":`, uint64(d.NeverCaptured))
	b = member(b, `,"reordered":`, uint64(d.Reordered))
	b = member(b, `,"ambiguous":`, uint64(d.Ambiguous))
	b = member(b, `,"capture_duplicates":`, uint64(d.CaptureDuplicates))
	b = member(b, `,"zero_windows":`, uint64(d.ZeroWindows))
	b = number(append(b, `,"zero_window_ms":`...), d.ZeroWindowMs)
	b = member(b, `,"window_probes":`, uint64(d.WindowProbes))
	b = member(b, `,"window_full":`, uint64(d.WindowFull))
	b = member(b, `,"window_shrunk":`, uint64(d.WindowShrunk))
	b = member(b, `,"keep_alives":`, uint64(d.KeepAlives))
	b = member(b, `,"dup_acks":`, uint64(d.DupAcks))
	b = member(b, `,"resets":`, uint64(d.Resets))
	b = member(b, `,"fins":`, uint64(d.Fins))
	b = numbers(b, `,"fin_offsets_s":`, d.FINOffsets)
	b = member(b, `,"acked_unseen_bytes":`, d.AckedUnseen)
	b = d.RTT.json(append(b, `,"rtt_ms":`...))
	b = d.Think.json(append(b, `,"think_ms":`...))
	return append(b, '}')
}

// json appends an object.
func (q *Quantiles) json(b []byte) []byte {
	if *q == (Quantiles{}) {
		return append(b, `{"n":0,"min":0,"p50":0,"p99":0,"max":0}`...)
	}
	b = member(b, `{"n":`, q.N)
	b = number(append(b, `,"min":`...), q.Min)
	b = number(append(b, `,"p50":`...), q.P50)
	b = number(append(b, `,"p99":`...), q.P99)
	b = number(append(b, `,"max":`...), q.Max)
	return append(b, '}')
}

// json appends the event and a line feed.
func (r *EventRow) json(b []byte) []byte {
	b = member(b, `{"flow":`, r.Flow)
	b = r.Time.AppendFormat(append(b, `,"time":"`...), time.RFC3339Nano)
	b = number(append(b, `","offset_s":`...), r.Offset)
	b = member(b, `,"input":`, uint64(r.Input))
	b = member(b, `,"frame":`, r.Frame)
	b = word(b, `,"side":`, r.Side)
	b = word(b, `,"event":`, r.Event)
	b = member(b, `,"seq":`, uint64(r.Seq))
	b = member(b, `,"len":`, uint64(r.Len))
	b = given(b, `,"number":`, r.Number)
	b = given(b, `,"segments":`, r.Segments)
	b = given(b, `,"bytes":`, r.Bytes)
	if r.Duration != nil {
		b = number(append(b, `,"ms":`...), *r.Duration)
	}
	if r.Mechanism != "" {
		b = word(b, `,"mechanism":`, r.Mechanism)
	}
	if r.Backoff != 0 {
		b = member(b, `,"backoff":`, uint64(r.Backoff))
	}
	if r.NeverCaptured {
		b = append(b, `,"never_captured":true`...)
	}
	if r.Evidence != "" {
		b = word(b, `,"evidence":`, r.Evidence)
	}
	if r.State != "" {
		b = word(b, `,"state":`, r.State)
	}
	b = given(b, `,"icmp_type":`, r.ICMPType)
	b = given(b, `,"icmp_code":`, r.ICMPCode)
	return append(b, "}\n"...)
}

// given appends a whole number behind its name, nothing where there is none.
func given(b []byte, name string, n *int64) []byte {
	if n == nil {
		return b
	}
	return strconv.AppendInt(append(b, name...), *n, 10)
}

// member appends a whole number behind its name.
func member(b []byte, name string, n uint64) []byte {
	return strconv.AppendUint(append(b, name...), n, 10)
}

// truth appends true or false behind its name.
func truth(b []byte, name string, is bool) []byte { return strconv.AppendBool(append(b, name...), is) }

// word appends a word of ours behind its name.
func word(b []byte, name, text string) []byte {
	return append(append(append(append(b, name...), '"'), text...), '"')
}

// nullable appends a number behind its name, null where there is none.
func nullable(b []byte, name string, v *float64) []byte {
	if b = append(b, name...); v == nil {
		return append(b, "null"...)
	}
	return number(b, *v)
}

// numbers appends a list behind its name.
func numbers(b []byte, name string, list []float64) []byte {
	b = append(append(b, name...), '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = number(b, v)
	}
	return append(b, ']')
}

// strings appends a list of words of ours behind its name.
func list(b []byte, name string, words []string) []byte {
	b = append(append(b, name...), '[')
	for i, s := range words {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), s...), '"')
	}
	return append(b, ']')
}

// number appends a number. The exponents of very small and large ones are left to encoding/json.
func number(b []byte, v float64) []byte {
	if v == 0 || v >= 1e-6 && v < 1e21 {
		return strconv.AppendFloat(b, v, 'f', -1, 64)
	}
	text, _ := json.Marshal(v) // only infinities have none
	return append(b, text...)
}
