package evidence

import (
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format"
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

// The columns of the vitals have the units of the manifest, and a row that is older than
// the one before it is left out and said.
func TestReadVitals(t *testing.T) {
	var c column.Columns
	err := readVitals([]byte("time,rtt.p99\n1000,0.1\n3000,0.3\n2000,0.2\n"), []format.VitalInfo{{Name: "rtt.p99", Unit: "s"}}, &c)
	if err == nil || !strings.Contains(err.Error(), "1 rows out of the order of time") {
		t.Errorf("error %v", err)
	}
	col := c.Get("rtt.p99")
	if col == nil || col.Unit != "s" || col.Source != "vitals.csv" {
		t.Fatalf("column %+v", col)
	}
	if diff := cmp.Diff([]float64{0.1, 0.3}, col.V); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
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

func TestParseSockets(t *testing.T) {
	text := `{"at":"trigger","time":5,"family":"inet6","state":"LISTEN","local":"::","local_port":80,"recv_q":2,"send_q":1,"process":[{"pid":7,"comm":"nginx"}]}
{"at":"trigger","state":"ESTAB","local":"192.0.2.1","local_port":80,"remote":"198.51.100.1","remote_port":999,"tcp_info":{"rtt_us":1500}}
not json
{"at":"end","state":"LISTEN","local":"::","local_port":80,"recv_q":1,"send_q":1}
`
	got, err := ParseSockets([]byte(text))
	if err == nil || !strings.Contains(err.Error(), "line 3: read socket") {
		t.Errorf("error %v", err)
	}
	if len(got) != 3 {
		t.Fatalf("%d sockets, want 3", len(got))
	}
	if !got[0].Overfull() || got[2].Overfull() || got[1].Overfull() {
		t.Error("Recv-Q above Send-Q of a listener is overfull, and nothing else")
	}
	if got[1].Info == nil || got[1].Info.RTTUs != 1500 || got[1].Remote != netip.MustParseAddr("198.51.100.1") {
		t.Errorf("socket %+v", got[1])
	}
	e := Evidence{Sockets: got}
	if l := e.Listener(func(s *Socket) bool { return s.LocalPort == 80 }); l != &e.Sockets[0] {
		t.Errorf("listener %+v, want the one of the trigger", l)
	}
	if l := e.Listener(func(s *Socket) bool { return s.LocalPort == 81 }); l != nil {
		t.Errorf("listener %+v on a port where none is", l)
	}
}

func TestSettings(t *testing.T) {
	s := Settings{"net/ipv4/tcp_rmem": ParseSysctl([]byte("4096\t131072\t6291456\n")), "net/core/somaxconn": ParseSysctl([]byte("4096\n"))}
	if v, ok := s.Int("net/ipv4/tcp_rmem", 2); !ok || v != 6291456 {
		t.Errorf("third number %d, %v", v, ok)
	}
	if _, ok := s.Int("net/core/somaxconn", 1); ok {
		t.Error("somaxconn has one number only")
	}
	if _, ok := s.Int("net/core/none", 0); ok {
		t.Error("a setting that is not there has a value")
	}
	if got := SysctlName("net/ipv4/conf/eth0.100/rp_filter"); got != "net.ipv4.conf.eth0/100.rp_filter" {
		t.Errorf("name %q", got)
	}
}

func FuzzMembers(f *testing.F) {
	f.Add([]byte("time,rtt.p99,syn_recv\n1000,0.25,\n2000,,7\n"))
	f.Add([]byte("time,local,port,syn_queue,accept_queue,accept_limit\n1000,192.0.2.1,80,,9,8\n"))
	f.Add([]byte("1795230000000000000 4 TCP: out of memory\n"))
	f.Add([]byte(`{"at":"end","state":"LISTEN","local":"::","local_port":80,"recv_q":1,"send_q":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Evidence
		e.Manifest, e.Settings = &format.Manifest{}, Settings{}
		for _, m := range members {
			name := m.name
			if strings.HasSuffix(name, "/") {
				name += "2026-11-21T03:04:05.000000600Z/proc/stat"
			}
			_ = m.read(&e, name, data)
		}
		e.Columns.Finish()
		for _, c := range e.Columns.All() {
			if len(c.V) != len(c.Axis.T) {
				t.Errorf("%s: %d values at %d times", c.Name, len(c.V), len(c.Axis.T))
			}
		}
	})
}
