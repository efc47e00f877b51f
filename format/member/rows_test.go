package member

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
}

func TestParseLatencies(t *testing.T) {
	const text = `{"time":5,"cpu":1,"kind":"softirq","name":"NET_RX","count":3,"sum_ns":90,"max_ns":40,"buckets":[0,0,0,0,1,2]}
{"time":6,"cpu":0,"kind":"function","name":"tcp_collapse","count":1,"sum_ns":7,"max_ns":7,"buckets":[0,0,1]}
`
	all, err := ParseLatencies([]byte(text))
	if err != nil || len(all) != 2 || all[0].Name != "NET_RX" || all[0].Buckets[5] != 2 || all[1].Kind != "function" {
		t.Errorf("got %+v, %v", all, err)
	}
	all, err = ParseLatencies([]byte(text + "{\"time\":\"x\"}\n"))
	if err == nil || len(all) != 2 {
		t.Errorf("a broken line: %d rows, error %v; want the 2 before it and an error", len(all), err)
	}
}

func TestParseProcesses(t *testing.T) {
	got, err := ParseProcesses([]byte(`{"at":"trigger","time":5,"pid":7,"comm":"nginx","utime":12,"stime":3,"start":900}` + "\nx\n"))
	want := []ProcessUse{{At: "trigger", Time: 5, PID: 7, Comm: "nginx", UTime: 12, STime: 3, Start: 900}}
	if diff := cmp.Diff(want, got); diff != "" || err == nil {
		t.Errorf("error %v, (-want +got):\n%s", err, diff)
	}
}

func FuzzParseLatencies(f *testing.F) {
	f.Add([]byte(`{"time":5,"cpu":1,"kind":"softirq","name":"NET_RX","count":3,"buckets":[0,1]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, _ := ParseLatencies(text)
		for _, l := range all {
			if len(l.Buckets) > LatencyBuckets {
				t.Errorf("%d buckets", len(l.Buckets))
			}
		}
	})
}
