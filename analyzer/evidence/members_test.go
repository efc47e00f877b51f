package evidence

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

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

func TestSettings(t *testing.T) {
	s := Settings{"net/ipv4/tcp_rmem": member.ParseSysctl([]byte("4096\t131072\t6291456\n")), "net/core/somaxconn": member.ParseSysctl([]byte("4096\n"))}
	if v, ok := s.Int("net/ipv4/tcp_rmem", 2); !ok || v != 6291456 {
		t.Errorf("third number %d, %v", v, ok)
	}
	if _, ok := s.Int("net/core/somaxconn", 1); ok {
		t.Error("somaxconn has one number only")
	}
	if _, ok := s.Int("net/core/none", 0); ok {
		t.Error("a setting that is not there has a value")
	}
}

func FuzzMembers(f *testing.F) {
	f.Add([]byte("time,rtt.p99,syn_recv\n1000,0.25,\n2000,,7\n"))
	f.Add([]byte("time,local,port,syn_queue,accept_queue,accept_limit\n1000,192.0.2.1,80,,9,8\n"))
	f.Add([]byte("time,realtime,monotonic,boottime,raw,reason\n1000,1000,1,1,1,\n2000,9000,2,2,2,step\n"))
	f.Add([]byte("time,reason,place,count\n1000,NO_SOCKET,udp_rcv+0x1,9\n9223372036854775807,NO_SOCKET,udp_rcv+0x1,9\n"))
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
