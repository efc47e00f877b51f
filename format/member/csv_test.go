package member

import (
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var sameFloats = cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })

func TestParseVitals(t *testing.T) {
	v, err := ParseVitals([]byte("time,rtt.p99,syn_recv\n1000,0.25,\n2000,,7\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Vitals{Names: []string{"rtt.p99", "syn_recv"}, Rows: []VitalsRow{
		{1000, []float64{0.25, math.NaN()}}, {2000, []float64{math.NaN(), 7}},
	}}
	if diff := cmp.Diff(want, v, sameFloats); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for text, reason := range map[string]string{
		"when,rtt\n":                  `line 1: header begins with "when"`,
		"time,rtt\n5\n":               "line 2: 1 columns, want 2",
		"time,rtt\nx,1\n":             `line 2: time "x" is not in Unix nanoseconds`,
		"time,rtt\n5,1e\n6,2\n":       `line 2: rtt: "1e" is not a number`,
		"time,rtt\n5,+Inf\n6,1\n":     `line 2: rtt: "+Inf" is not a number`,
		"time,rtt\n7,1\n8,2,3\n9,1\n": "line 3: 3 columns, want 2",
	} {
		if _, err := ParseVitals([]byte(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: error %v, want %q", text, err, reason)
		}
	}
}

func TestParseQueues(t *testing.T) {
	text := "time,local,port,syn_queue,accept_queue,accept_limit\n1000,192.0.2.1,80,,9,8\n2000,::ffff:192.0.2.1,80,4,8,8\n"
	got, err := ParseQueues([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort("192.0.2.1:80")
	want := []Queue{
		{Time: 1000, Line: 2, Local: addr, SynQueue: -1, AcceptQueue: 9, AcceptLimit: 8},
		{Time: 2000, Line: 3, Local: addr, SynQueue: 4, AcceptQueue: 8, AcceptLimit: 8},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got[0].Overfull() || got[1].Overfull() {
		t.Error("a queue is overfull above its limit, not at it")
	}
	for text, reason := range map[string]string{
		"h\n1,192.0.2.1,80,0,9\n":       "line 2: 5 columns, want 6",
		"h\n1,host,80,0,9,8\n":          `line 2: "host" is not an address`,
		"h\n1,192.0.2.1,80000,0,9,8\n":  `line 2: column 3: "80000" is not a number of 16 bits`,
		"h\nnow,192.0.2.1,8000,0,9,8\n": `line 2: time "now" is not in Unix nanoseconds`,
	} {
		if _, err := ParseQueues([]byte(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: error %v, want %q", text, err, reason)
		}
	}
}

func TestParseKmsg(t *testing.T) {
	got, err := ParseKmsg([]byte("1795230000000000000 4 TCP: request_sock_TCP: Possible SYN flooding on port 80.\n\n\nlate 6 x\n1795230001000000000 six y\n1795230002000000000 6 eth0: \xff link up\n"))
	want := []LogLine{
		{1795230000000000000, 4, 1, "TCP: request_sock_TCP: Possible SYN flooding on port 80."},
		{1795230002000000000, 6, 6, "eth0: ? link up"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err == nil || !strings.Contains(err.Error(), `line 4: time "late"`) {
		t.Errorf("error %v, want the first broken line", err)
	}
}

func TestParseClocks(t *testing.T) {
	all, err := ParseClocks([]byte(ClocksHeader + "1000,2000,30,40,50,step,of a later version\n"))
	want := []Clocks{{Time: 1000, Line: 2, Realtime: 2000, Monotonic: 30, Boottime: 40, Raw: 50, Reason: ClockStep}}
	if diff := cmp.Diff(want, all); diff != "" || err != nil {
		t.Errorf("error %v, (-want +got):\n%s", err, diff)
	}
	for text, reason := range map[string]string{
		"1,2,3,4,5\n":  "line 2: 5 columns, want 6",
		"1,2,x,4,5,\n": `line 2: time "x" is not in Unix nanoseconds`,
	} {
		if _, err := ParseClocks([]byte(ClocksHeader + text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: error %v, want %q", text, err, reason)
		}
	}
}
