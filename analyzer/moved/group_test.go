package moved

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// names gives each line's series with what hangs under it.
func names(lines []Line) map[string][]string {
	all := map[string][]string{}
	for _, l := range lines {
		all[l.Series] = slices.Sorted(slices.Values(l.With))
	}
	return all
}

// One cause is one line.
func TestGroups(t *testing.T) {
	s := tell(vitalTrigger, 32, 42)
	s.put(column.Counter, "1", netstat, map[string]func(int) float64{
		"netstat.TcpExt.ListenOverflows": step(31, 0, 60), "netstat.TcpExt.ListenDrops": step(31, 0, 60),
	})
	s.put(column.Gauge, "1/s", member.VitalsName, map[string]func(int) float64{"listen.overflows": step(31, 0, 61)})
	s.put(column.Counter32, "1", "proc/softirqs", map[string]func(int) float64{
		"softirqs.NET_TX.cpu0": func(i int) float64 { return float64(10*i) * step(31, 0, 1)(i) },
		"softirqs.NET_TX.cpu1": func(i int) float64 { return float64(100 * i) },
	})
	s.put(column.Counter, "1", "proc/net/dev", map[string]func(int) float64{"if.eth0.rx_packets": step(31, 100, 1000)})
	s.put(column.Counter, "1", "proc/net/snmp", map[string]func(int) float64{
		"snmp.Tcp.InSegs": step(31, 95, 990), "snmp.Tcp.InErrs": step(31, 5, 400), "snmp.Udp.NoPorts": step(31, 0, 90),
	})
	want := map[string][]string{
		"listen.overflows":     {"netstat.TcpExt.ListenDrops", "netstat.TcpExt.ListenOverflows"},
		"softirqs.NET_TX.cpu*": nil, // its sum has grown threefold
		"if.eth0.rx_packets":   {"snmp.Tcp.InSegs"},
		"snmp.Tcp.InErrs":      nil, // grew eightfold beyond the traffic
		"snmp.Udp.NoPorts":     nil,
	}
	got := names(s.find())
	delete(want, "softirqs.NET_TX.cpu*")
	delete(got, "softirqs.NET_TX.cpu*")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Interrupts that wander from one CPU to another have not changed.
func TestFamilies(t *testing.T) {
	s := tell(vitalTrigger, 32, 42)
	s.put(column.Counter, "1", "proc/net/softnet_stat", map[string]func(int) float64{
		"softnet.cpu0.processed": step(31, 500, 0), "softnet.cpu1.processed": step(31, 0, 500),
		"softnet.cpu0.dropped": step(31, 0, 50), "softnet.cpu1.dropped": step(31, 0, 60),
	})
	got := s.find()
	if len(got) != 1 || got[0].Series != "softnet.cpu*.dropped" || got[0].Value != 110 {
		t.Errorf("%+v, want the drops of both CPUs", got)
	}
}

// Members that have a line only where something happened say zero where they have none,
// unless their source lost what was before.
func TestSparse(t *testing.T) {
	for _, lossy := range []bool{false, true} {
		s := tell(vitalTrigger, 32, 42)
		if lossy {
			s.Manifest.Sources = []format.Source{{Name: "drops", State: format.Partial, Members: []string{member.DropsName}}}
		}
		for i := 31; i < 36; i++ {
			r, _ := s.Columns.Row(member.DropsName, at(float64(i)).UnixNano())
			r.Put(column.Events, "1", 40, "drop.NO_SOCKET")
		}
		got := s.find()
		if moved := len(got) == 1 && got[0].Usual == 0 && got[0].Value == 40 && got[0].First == at(31); moved == lossy {
			t.Errorf("lossy %v: %+v", lossy, got)
		}
	}
}

// The same evidence gives the same lines in the same order.
func TestOrder(t *testing.T) {
	var before []Line
	for range 5 {
		s := tell(vitalTrigger, 32, 42)
		all := map[string]func(int) float64{} // put in the map's order, another one each time
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			all[name] = step(31, 0, 3)
		}
		s.put(column.Gauge, "1", member.VitalsName, all)
		got := s.find()
		if before != nil && !cmp.Equal(before, got) {
			t.Fatalf("another order:\n%s", cmp.Diff(before, got))
		}
		before = got
	}
}
