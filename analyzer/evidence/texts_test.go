package evidence

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/format/member"
)

// shared is where larger collections of kernel texts may lie beside the checkout.
const shared = "../../../shared/captures/text/procfs/proc"

// sharedText reads a text of the collection, or skips the test.
func sharedText(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shared, name))
	if err != nil {
		t.Skipf("the shared collection of kernel texts is not here: %v", err)
	}
	return text
}

// testText reads one of the package's own texts.
func testText(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// numbers reads one text and gives its columns' values by name.
func numbers(path string, data []byte) (map[string]float64, error) {
	var c Columns
	r, _ := c.row(path, 1)
	err := textFor(path).read(path, data, r)
	c.finish()
	got := map[string]float64{}
	for _, col := range c.All() {
		got[col.Name] = col.V[0]
	}
	return got, err
}

// Every text of the list has a file in testdata with the values that must come out of
// it: a text that is added to the list without one fails here.
func TestTexts(t *testing.T) {
	want := map[string]map[string]float64{
		"proc/net/netstat": {
			"netstat.TcpExt.ListenOverflows": 48, "netstat.TcpExt.ListenDrops": 49,
			"netstat.IpExt.InOctets": 3104,
		},
		"proc/net/snmp": {
			"snmp.Tcp.RetransSegs": 348, "snmp.Tcp.MaxConn": -1, "snmp.Tcp.CurrEstab": 15,
			"snmp.IcmpMsg.InType3": 45, "snmp.Icmp.InMsgs": 45,
		},
		"proc/net/softnet_stat": {
			"softnet.cpu0.processed": 0x14, "softnet.cpu3.dropped": 0x12, "softnet.cpu3.squeezed": 0xf0000769,
			"softnet.cpu3.backlog": 7,
		},
		"proc/net/sockstat":  {"sockstat.TCP.orphan": 3, "sockstat.TCP.tw": 4, "sockstat.sockets.used": 1602, "sockstat.FRAG.memory": 9},
		"proc/net/dev":       {"if.eth0.rx_dropped": 7, "if.eth0.100.tx_bytes": 99, "if.lo.rx_packets": 1566805},
		"proc/stat":          {"stat.cpu.user": 301854, "stat.cpu1.softirq": 46, "stat.ctxt": 38014093, "stat.procs_running": 2},
		"proc/softirqs":      {"softirqs.NET_RX.cpu0": 55919, "softirqs.NET_RX.cpu2": 28694},
		"proc/loadavg":       {"loadavg.1m": 0.02, "loadavg.tasks": 497},
		"proc/net/snmp6":     {"snmp6.Ip6InReceives": 7, "snmp6.Udp6RcvbufErrors": 2},
		"proc/net/sockstat6": {"sockstat.TCP6.inuse": 17, "sockstat.FRAG6.memory": 0},
		"proc/interrupts": {
			"irq.24.eth0-TxRx-0.cpu1": 1443, "irq.NMI.cpu0": 5, "irq.ERR": 3, "irq.9.virtio1-input-0.cpu1": 8,
		},
		"proc/meminfo":      {"meminfo.MemAvailable": 2048 * 1024, "meminfo.HugePages_Total": 4},
		"proc/vmstat":       {"vmstat.nr_free_pages": 99, "vmstat.pgmajfault": 12, "vmstat.nr_dirtied": 5},
		"proc/pressure/cpu": {"psi.cpu.some": 1.5, "psi.cpu.some.avg10": 0.2, "psi.cpu.full": 0},
		"proc/schedstat":    {"sched.cpu1.run": 2, "sched.cpu1.wait": 0.5, "sched.cpu1.slices": 77},
		"proc/net/bonding/bond0": {
			"bond.bond0.eth0.up": 1, "bond.bond0.eth1.up": 0, "bond.bond0.eth1.link_failures": 3,
			"bond.bond0.slaves": 2, "bond.bond0.slaves_up": 1,
		},
		"proc/net/stat/nf_conntrack":                {"nstat.nf_conntrack.entries": 0x21, "nstat.nf_conntrack.drop.cpu1": 0x10},
		"proc/net/protocols":                        {"protocols.TCP.sockets": 35, "protocols.TCP.memory": 22, "protocols.TCP.pressure": 1},
		"proc/sys/net/netfilter/nf_conntrack_count": {"conntrack.count": 15030},
	}
	read := map[*Text]bool{}
	for path, values := range want {
		t.Run(path, func(t *testing.T) {
			text := textFor(path)
			if text == nil {
				t.Fatal("no text reads this path")
			}
			read[text] = true
			got, err := numbers(path, testText(t, strings.ReplaceAll(path, "/", "_")))
			if err != nil {
				t.Error(err)
			}
			for name, v := range values {
				if g, ok := got[name]; !ok || g != v {
					t.Errorf("%s = %v, want %v", name, g, v)
				}
			}
		})
	}
	for _, text := range Texts {
		if !read[text] {
			t.Errorf("%s has no test data", text.Path)
		}
	}
}

// One broken line costs that line and names it; the other lines are still there.
func TestBrokenLine(t *testing.T) {
	for _, tt := range []struct{ path, text, err, name string }{
		{"proc/net/netstat", "TcpExt: A B\nTcpExt: 1 x\nIpExt: C\nIpExt: 3\n", `line 2: B: "x" is not a number`, "netstat.IpExt.C"},
		{"proc/net/netstat", "TcpExt: A B\nTcpExt: 1\n", `line 2: group "TcpExt": 2 names and 1 values`, "netstat.TcpExt.A"},
		{"proc/net/snmp", "Tcp: A\nTcp: 1\nUdp: B\n", `group "Udp:": names without values`, "snmp.Tcp.A"},
		{"proc/net/softnet_stat", "00015c73 00020e76 F0000769 00000000\n" + strings.Repeat("1 ", 9) + "\n", "line 1: 4 columns, want 9 to 15", "softnet.cpu0.processed"},
		{"proc/net/softnet_stat", strings.Repeat("1 ", 9) + "\n1 zz 1 1 1 1 1 1 1\n", `line 2: column 2: "zz" is not a hexadecimal`, "softnet.cpu0.processed"},
		{"proc/net/sockstat", "TCP: inuse\nUDP: inuse 2\n", "line 1: want \"PROTO: name value", "sockstat.UDP.inuse"},
		{"proc/net/dev", "eth0: 1 2\nlo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", `line 1: interface "eth0": 2 columns, want 16`, "if.lo.rx_bytes"},
		{"proc/stat", "cpu0 1 a\nctxt 5\n", `line 1: cpu0 column 2: "a" is not a counter`, "stat.ctxt"},
		{"proc/net/snmp6", "Ip6InReceives x\nIp6InHdrErrors 4\n", `line 1: Ip6InReceives: "x" is not a number`, "snmp6.Ip6InHdrErrors"},
		{"proc/interrupts", "CPU0 CPU1\n24: 1 x eth0\n25: 0 7 MSI eth0\n", "line 2: 24: 1 counters for 2 CPUs", "irq.25.eth0.cpu1"},
		{"proc/interrupts", "CPU0\n: 1\n25: 7 MSI eth0\n", "line 2: want a name and a colon", "irq.25.eth0.cpu0"},
		{"proc/pressure/io", "none avg10=1\nfull avg10=1.00 total=4\n", `line 1: want some or full, not "none"`, "psi.io.full"},
		{"proc/pressure/io", "some avg10=101 total=4\nfull avg10=1.00 total=4\n", `line 1: "101" is not a percentage`, "psi.io.full"},
		{"proc/schedstat", "cpu0 1 2\ncpu1 1 2 3 4 5 6 7 8 9\ndomain0 3\n", "line 1: want cpu and nine numbers", "sched.cpu1.run"},
		{"proc/net/stat/arp_cache", "entries hits\n1 z\n1 2 3\n1 a\n", `line 2: hits: "z" is not a hexadecimal`, "nstat.arp_cache.hits.cpu0"},
		{"proc/net/protocols", "protocol size sockets memory press\nTCP 1 x 2 no\nUDP 1 2 3 no\n", `line 2: TCP sockets: "x"`, "protocols.UDP.memory"},
		{"proc/net/bonding/bond1", "Bonding Mode: x\nSlave Interface: a\nLink Failure Count: many\nSlave Interface: b\nMII Status: up\n", `line 3: slave a: link failure count "many"`, "bond.bond1.b.up"},
		{"proc/softirqs", "CPU0 CPU1\nHI: 1\nNET_RX: 2 3\n", "line 2: want a vector and 2 counters", "softirqs.NET_RX.cpu1"},
	} {
		got, err := numbers(tt.path, []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", tt.path, err, tt.err)
		}
		if _, ok := got[tt.name]; !ok {
			t.Errorf("%s: %s was lost with the broken line: %v", tt.path, tt.name, got)
		}
	}
}

func TestSoftnetColumns(t *testing.T) {
	for columns, want := range map[int]SoftnetRow{
		9:  {Processed: 1, Dropped: 2, TimeSqueeze: 3, CPU: 0},
		10: {Processed: 1, Dropped: 2, TimeSqueeze: 3, ReceivedRPS: 10},
		11: {Processed: 1, Dropped: 2, TimeSqueeze: 3, ReceivedRPS: 10, FlowLimit: 11},
		13: {Processed: 1, Dropped: 2, TimeSqueeze: 3, ReceivedRPS: 10, FlowLimit: 11, Backlog: 12, CPU: 13, CPUKnown: true},
		15: {Processed: 1, Dropped: 2, TimeSqueeze: 3, ReceivedRPS: 10, FlowLimit: 11, Backlog: 12, CPU: 13, CPUKnown: true},
	} {
		all := strings.Fields("1 2 3 4 5 6 7 8 9 a b c d e f")
		rows, err := ParseSoftnet([]byte(strings.Join(all[:columns], " ") + "\n"))
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d columns: %v, %v", columns, rows, err)
		}
		if diff := cmp.Diff(want, rows[0]); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", columns, diff)
		}
	}
}

func TestSharedTexts(t *testing.T) {
	for name, path := range map[string]string{
		"26231/net/netstat": "proc/net/netstat", "26231/net/snmp": "proc/net/snmp",
		"net/softnet_stat": "proc/net/softnet_stat", "net/sockstat": "proc/net/sockstat",
		"net/sockstat6": "proc/net/sockstat", "net/dev": "proc/net/dev", "stat": "proc/stat",
		"softirqs": "proc/softirqs", "loadavg": "proc/loadavg", "26231/net/snmp6": "proc/net/snmp6",
		"interrupts": "proc/interrupts", "meminfo": "proc/meminfo", "schedstat": "proc/schedstat",
		"pressure/memory": "proc/pressure/memory", "net/stat/arp_cache": "proc/net/stat/arp_cache",
		"net/protocols": "proc/net/protocols",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := numbers(path, sharedText(t, name))
			if err != nil || len(got) < 4 {
				t.Errorf("%d numbers, error %v", len(got), err)
			}
		})
	}
	if rows, err := ParseSoftnet(sharedText(t, "net/softnet_stat.broken")); err == nil || len(rows) != 0 {
		t.Errorf("broken softnet_stat gave %v, %v", rows, err)
	}
}

// A CPU or interface that appears late or goes away leaves gaps, and never moves the
// values of another reading.
func TestColumnsGaps(t *testing.T) {
	var c Columns
	header := "Inter-|\n face |\n"
	line := func(name, v string) string { return name + ": " + v + strings.Repeat(" 0", 15) + "\n" }
	for i, text := range []string{
		header + line("eth0", "10"),
		header + line("eth0", "11") + line("eth1", "5"),
		header + line("eth1", "6"),
	} {
		name := member.SnapshotName(time.Unix(int64(i), 0), "proc/net/dev")
		if err := readSnapshot(name, []byte(text), &c); err != nil {
			t.Fatal(err)
		}
	}
	late := member.SnapshotName(time.Unix(1, 0), "proc/net/dev")
	if err := readSnapshot(late, nil, &c); err == nil {
		t.Error("a snapshot older than the last was accepted")
	}
	c.finish()
	nan := math.NaN()
	for name, want := range map[string][]float64{
		"if.eth0.rx_bytes": {10, 11, nan},
		"if.eth1.rx_bytes": {nan, 5, 6},
	} {
		same := cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })
		if diff := cmp.Diff(want, c.Get(name).V, same); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := len(c.Times("proc/net/dev")); got != 3 {
		t.Errorf("%d readings, want 3", got)
	}
}

func FuzzTexts(f *testing.F) {
	for i, text := range Texts {
		files, err := filepath.Glob(filepath.Join("testdata", strings.ReplaceAll(text.Path, "/", "_")))
		if err != nil || len(files) == 0 {
			f.Fatalf("%s has no test data: %v", text.Path, err)
		}
		f.Add(i, testText(f, filepath.Base(files[0])))
	}
	f.Fuzz(func(t *testing.T, i int, data []byte) {
		if i >= 0 && i < len(Texts) {
			_, _ = numbers(Texts[i].Path, data)
		}
	})
}
