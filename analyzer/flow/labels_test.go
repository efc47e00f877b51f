package flow

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/internal/captures"
)

// label is one retransmission that the reviewed logs of the TCPRS suite name.
type label struct {
	mechanism string // rtype
}

// place tells packets apart in those logs: time in µs and sequence number.
type place struct {
	time int64
	seq  uint32
}

// readLabels reads a log.
func readLabels(t testing.TB, path string) map[place]label {
	t.Helper()
	labels := map[place]label{}
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return labels
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		if strings.HasPrefix(fields[0], "#") || len(fields) < 13 {
			continue
		}
		seconds, micros, _ := strings.Cut(fields[0], ".")
		at, err1 := strconv.ParseInt(seconds+micros, 10, 64)
		seq, err2 := strconv.ParseUint(fields[7], 10, 32)
		if err1 != nil || err2 != nil {
			t.Fatalf("%s: %v", path, fields)
		}
		labels[place{at, uint32(seq)}] = label{mechanism: fields[12]}
	}
	return labels
}

// labelled are the mechanisms that a label's rtype may have here. An rtype that is not in the list
// was left undecided by the log or names a further retransmission in a recovery of either kind.
var labelled = map[string][]Mechanism{
	"1": {Timeout, Probe}, "14": {Timeout, Probe}, "15": {Timeout, Probe},
	"2": {Fast}, "3": {Fast}, "4": {Fast}, "9": {Fast}, "10": {Fast}, "11": {Fast}, "12": {Fast},
	"13": {Fast}, "16": {Fast},
	"0": {Timeout, Fast}, "5": {Timeout, Fast}, "6": {Timeout, Fast},
}

// different lists where the mechanism is not the label's, with the reason from the packets. The
// tap of these captures is at the server, which sends them.
var different = map[string]string{
	"comp005 frame 416": "sent 50 µs after an ACK with SACK above it: no timer fires so",
	"comp005 frame 603": "sent 60 µs after an ACK with SACK above it",
	"fack018 frame 54":  "sent 58 µs after an ACK whose SACK block grew: its first repetition was lost",
}

// beyond lists the retransmissions that no label names: the logs leave out a FIN without data.
var beyond = map[string]string{
	"fack015 frame 235": "FIN again",
	"rto003 frame 34":   "FIN again",
	"rto003 frame 35":   "FIN again",
}

// Every labelled retransmission is found, nothing else is called one, and the mechanism is the
// label's where that names one.
func TestOthersLabels(t *testing.T) {
	found := 0
	differ, more := maps.Clone(different), maps.Clone(beyond)
	for _, path := range captures.Others(t, "tcprs/*.pcap") {
		base := strings.TrimSuffix(filepath.Base(path), ".pcap")
		labels := readLabels(t, filepath.Join(strings.TrimSuffix(path, ".pcap")+".baseline", "tcpretransmissions.log"))
		analyse(t, path, func(e *Event) {
			again := e.Kind == EventRetransmit || e.Kind == EventSYN && e.Value > 1
			if !again {
				if e.Kind == EventReordered || e.Kind == EventAmbiguous || e.Kind == EventCaptureDuplicate {
					if _, ok := labels[place{e.Time / 1e3, e.Seq}]; ok {
						t.Errorf("%s frame %d: labelled a retransmission, said %v", base, e.Frame, e.Kind)
					}
				}
				return
			}
			where := fmt.Sprintf("%s frame %d", base, e.Frame)
			at := place{e.Time / 1e3, e.Seq}
			l, ok := labels[at]
			if !ok {
				if more[where] == "" {
					t.Errorf("%s: retransmission without a label", where)
				}
				delete(more, where)
				return
			}
			delete(labels, at)
			found++
			if slices.Contains(labelled[l.mechanism], e.Mechanism) {
				return
			}
			if differ[where] == "" {
				t.Errorf("%s: %v, labelled %s", where, e.Mechanism, l.mechanism)
			}
			delete(differ, where)
		})
		for at := range labels {
			t.Errorf("%s: labelled retransmission at %d µs, seq %d, not found", base, at.time, at.seq)
		}
	}
	if found < 500 {
		t.Errorf("only %d labels", found)
	}
	for where, why := range differ {
		t.Errorf("%s is listed as different (%s) and is not", where, why)
	}
	for where, why := range more {
		t.Errorf("%s is listed as beyond the labels (%s) and is not", where, why)
	}
}

// The event of a repeated SYN tells its number and that a timer made it.
func TestSYNEvents(t *testing.T) {
	s := play(t)
	s.syn()
	s.at(second).syn()
	s.table.Flush()
	if e := s.events[1]; e.Kind != EventSYN || e.Value != 2 || e.Mechanism != Timeout || e.Side != Client {
		t.Errorf("%+v", e)
	}
	if s.events[0].Mechanism != NoMechanism || s.flows[0].C2S().Packets != 2 {
		t.Errorf("%+v", s.events)
	}
}
