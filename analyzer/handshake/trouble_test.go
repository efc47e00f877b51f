package handshake

import (
	"testing"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// A host whose own queue holds its SYN-ACKs back for more than a second drops nothing: the
// client repeats its SYN, and the copies leave together.
func TestLateIsNotLost(t *testing.T) {
	const ms = 1_000_000
	at := func(times ...int64) (sent []flow.Sent) {
		for _, t := range times {
			sent = append(sent, flow.Sent{Time: t * ms, Answered: len(sent) > 0})
		}
		return sent
	}
	sent := func(times ...int64) (all []flow.Sent) {
		for _, t := range times {
			all = append(all, flow.Sent{Time: t * ms})
		}
		return all
	}
	for name, tc := range map[string]struct {
		h           flow.Handshake
		syn, synack Trouble
	}{
		"late": {flow.Handshake{
			SYNs: []flow.Sent{{Time: 0}, {Time: 1018 * ms}}, SYNRetransmits: 1,
			SYNACKs: at(1365, 1387, 1388), SYNACKRetransmits: 2, ServerRTT: 1365 * ms, Completed: true, AckTime: 1366 * ms,
		}, SYNLate, SYNACKLate},
		"the first SYN was dropped": {flow.Handshake{
			SYNs: []flow.Sent{{Time: 0}, {Time: 1018 * ms}}, SYNRetransmits: 1,
			SYNACKs: at(1019, 2028), SYNACKRetransmits: 1, ServerRTT: 1 * ms, Completed: true, AckTime: 1020 * ms,
		}, SYNUnanswered, SYNACKAnswered},
		// No timestamp tells that the first was late; but 22 ms are no timer's, so that the second says nothing of the ACK.
		"no timestamp tells": {flow.Handshake{
			SYNs: []flow.Sent{{Time: 0}, {Time: 1018 * ms}}, SYNRetransmits: 1,
			SYNACKs: at(1365, 1387), SYNACKRetransmits: 1, ServerRTT: -1, Completed: true, AckTime: 1366 * ms,
		}, SYNUnanswered, troubles},
		// Behind the tap: each SYN-ACK was captured at once, and the ACK of the first comes after the second.
		"the first SYN-ACK came late": {flow.Handshake{
			SYNs: at(0, 1014), SYNRetransmits: 1, SYNACKs: sent(0, 1014, 1015), SYNACKRetransmits: 2,
			ServerRTT: 1, Completed: true, AckTime: 1354 * ms, ClientRTT: 1354 * ms,
		}, SYNHeld, SYNACKHeld},
		"its ACK was lost": {flow.Handshake{
			SYNs: at(0, 1014), SYNRetransmits: 1, SYNACKs: sent(0, 1014, 1015), SYNACKRetransmits: 2,
			ServerRTT: 1, Completed: true, AckTime: 1016 * ms, ClientRTT: 1016 * ms,
		}, SYNAnswered, SYNACKLost},
		"the second SYN-ACK was the first that came": {flow.Handshake{
			SYNs: at(0, 1014), SYNRetransmits: 1, SYNACKs: sent(0, 1014, 3015), SYNACKRetransmits: 2,
			ServerRTT: 1, Completed: true, AckTime: 3016 * ms, ClientRTT: 1 * ms,
		}, SYNAnswered, SYNACKLost},
	} {
		if got, ok := synTrouble(&flow.Flow{Handshake: tc.h}); !ok || got != tc.syn {
			t.Errorf("%s: SYNs: %d, %v; want %d", name, got, ok, tc.syn)
		}
		if got, ok := synackTrouble(&flow.Flow{Handshake: tc.h}); ok != (tc.synack != troubles) || ok && got != tc.synack {
			t.Errorf("%s: SYN-ACKs: %d, %v; want %d", name, got, ok, tc.synack)
		}
	}
}

// A client that repeats its SYN after a RST will not take no for an answer: nothing was
// lost. What the client did between two SYN-ACKs tells a loss from a client that is gone.
func TestTroubles(t *testing.T) {
	twice := []flow.Sent{{Time: 1}, {Time: 1e9 + 1}}
	refused := flow.Handshake{SYNs: twice, SYNRetransmits: 1, SYNSchedule: flow.ScheduleAfterReset, ServerRTT: -1}
	if got, ok := synTrouble(&flow.Flow{Handshake: refused}); ok {
		t.Errorf("after a RST: trouble %d", got)
	}
	for name, tt := range map[string]struct {
		h    flow.Handshake
		want Trouble
	}{
		"the client came back":  {flow.Handshake{SYNRetransmits: 1}, SYNACKLost},
		"it answered after all": {flow.Handshake{Completed: true}, SYNACKLost},
		"nothing more":          {flow.Handshake{}, SYNACKSilent},
	} {
		tt.h.SYNACKs, tt.h.SYNACKRetransmits, tt.h.ServerRTT = twice, 1, -1
		if got, ok := synackTrouble(&flow.Flow{Handshake: tt.h}); !ok || got != tt.want {
			t.Errorf("%s: trouble %d, %v; want %d", name, got, ok, tt.want)
		}
	}
}
