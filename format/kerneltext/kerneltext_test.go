package kerneltext

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testText reads one of the texts of testdata, each named after its path.
func testText(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// snmp reads a two-line text into values by name: Tcp.RetransSegs.
func snmp(text string) (map[string]float64, error) {
	got := map[string]float64{}
	err := ParseSNMP([]byte(text), func(r SNMPRow) { got[string(r.Group)+"."+string(r.Name)] = r.Value })
	return got, err
}

func TestParseSNMP(t *testing.T) {
	for _, tt := range []struct {
		name, text, err string
		want            map[string]float64
	}{
		{"as it is printed", "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 0 14\nIpExt: ListenOverflows\nIpExt: 9\n", "",
			map[string]float64{"TcpExt.SyncookiesSent": 0, "TcpExt.ListenOverflows": 14, "IpExt.ListenOverflows": 9}},
		{"signed", "Tcp: MaxConn RetransSegs\nTcp: -1 505\n", "", map[string]float64{"Tcp.MaxConn": -1, "Tcp.RetransSegs": 505}},
		{"fewer values", "Icmp: a b\nIcmp: 1\n", "2 names and 1 values", map[string]float64{"Icmp.a": 1}},
		{"a pair of two groups", "Ip: a\nUdp: 1\n", `group "Udp:": names without values`, map[string]float64{}},
		{"a group without a name", ":", `group ":": names without values`, map[string]float64{}},
		{"no colon", "A B\n1 2\n", `line 1: no group before "A B"`, map[string]float64{}},
	} {
		got, err := snmp(tt.text)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
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
		var rows []SoftnetRow
		err := ParseSoftnet([]byte(strings.Join(all[:columns], " ")+"\n"), func(r SoftnetRow) { rows = append(rows, r) })
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d columns: %v, %v", columns, rows, err)
		}
		if diff := cmp.Diff(want, rows[0]); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", columns, diff)
		}
	}
}

// A broken number costs its CPU's line and no place in the count of CPUs.
func TestParseCPUTable(t *testing.T) {
	var got []string
	err := ParseCPUTable([]byte("entries drop\n00000010 00000002\n00000010 z\n1 2 3\n00000010 000000ff\n00000010\n"), func(c CPUCell) {
		got = append(got, strings.Repeat("cpu", c.CPU)+" "+string(c.Name)+strings.Repeat("+", int(c.Value%16)))
	})
	if want := `line 3: drop: "z" is not a hexadecimal 32-bit number`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	if diff := cmp.Diff([]string{" entries", " drop++", "cpu entries", "cpu drop" + strings.Repeat("+", 15), "cpucpu entries"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An interface may have a bar in its name, as the two lines of heading do.
func TestNetDevNames(t *testing.T) {
	text := "Inter-|   Receive\n face |bytes\n" + "  a|b:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
	n := 0
	err := ParseNetDev([]byte(text), func(d NetDevRow) {
		n++
		if string(d.Name) != "a|b" || d.RxBytes != 1 || d.RxDropped != 4 || d.TxDropped != 12 || d.TxCompressed != 16 {
			t.Errorf("row %+v", d)
		}
	})
	if err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// The sl column widens after 9,999 sockets; what is counted must not shift with it.
func TestParseTCPStates(t *testing.T) {
	var got []uint8
	if err := ParseTCPStates(testText(t, "proc_net_tcp"), func(state uint8) { got = append(got, state) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint8{10, 3, 3, 1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseUDP(t *testing.T) {
	var got []UDPRow
	for _, text := range []string{"proc_net_udp", "proc_net_udp6"} {
		if err := ParseUDP(testText(t, text), func(r UDPRow) { got = append(got, r) }); err != nil {
			t.Fatal(err)
		}
	}
	at, none4, none6 := netip.MustParseAddrPort, netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort("[::]:0")
	want := []UDPRow{
		{Local: at("127.0.0.1:46452"), Remote: at("127.0.0.1:5353"), Connected: true, Inode: 955352},
		{Local: at("127.0.0.1:5353"), Remote: none4, RxQueue: 3 * 832, Inode: 955350},
		{Local: at("[::]:500"), Remote: none6, Inode: 955353},
		{Local: at("[::1]:1812"), Remote: none6, Inode: 955351},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := ParseUDP([]byte("  1: 0100007F:B574 0100007F:14E9 01 00000000\n"), func(UDPRow) {}); err == nil {
		t.Error("half of a line was taken for a socket")
	}
}

func TestParseNumbers(t *testing.T) {
	var low, high float64
	if err := ParseNumbers([]byte("32768\t60999\n"), &low, &high); err != nil || low != 32768 || high != 60999 {
		t.Errorf("%v to %v, %v", low, high, err)
	}
	if err := ParseNumbers([]byte("5\n"), &low, &high); err == nil {
		t.Error("one number was taken for two")
	}
}

// parse runs a parser whose rows nobody wants.
type parse func(text []byte) error

// tickParsers are those that a recorder runs at each tick, by the text that they are tried on.
var tickParsers = map[string]parse{
	"proc_net_netstat":           func(text []byte) error { return ParseSNMP(text, func(SNMPRow) {}) },
	"proc_net_snmp":              func(text []byte) error { return ParseSNMP(text, func(SNMPRow) {}) },
	"proc_net_snmp6":             func(text []byte) error { return ParseNameValue(text, func(NameValue) {}) },
	"proc_net_protocols":         func(text []byte) error { return ParseProtocols(text, func(Protocol) {}) },
	"proc_pressure_cpu":          func(text []byte) error { return ParsePressure(text, func(PressureRow) {}) },
	"proc_net_dev":               func(text []byte) error { return ParseNetDev(text, func(NetDevRow) {}) },
	"proc_stat":                  func(text []byte) error { return ParseStat(text, func(StatRow) {}) },
	"proc_net_softnet_stat":      func(text []byte) error { return ParseSoftnet(text, func(SoftnetRow) {}) },
	"proc_net_sockstat":          func(text []byte) error { return ParseSockstat(text, func(SockstatRow) {}) },
	"proc_net_stat_nf_conntrack": func(text []byte) error { return ParseCPUTable(text, func(CPUCell) {}) },
	"proc_net_tcp":               func(text []byte) error { return ParseTCPStates(text, func(uint8) {}) },
	"proc_net_udp":               func(text []byte) error { return ParseUDP(text, func(UDPRow) {}) },
	"proc_net_udp6":              func(text []byte) error { return ParseUDP(text, func(UDPRow) {}) },
	"proc_sys_net_netfilter_nf_conntrack_count": func(text []byte) error { var a float64; return ParseNumbers(text, &a) },
	"proc_sys_net_ipv4_ip_local_port_range":     func(text []byte) error { var a, b float64; return ParseNumbers(text, &a, &b) },
}

func TestTickParsersDoNotAllocate(t *testing.T) {
	for name, parse := range tickParsers {
		text := testText(t, name)
		var err error
		if n := testing.AllocsPerRun(100, func() { err = parse(text) }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", name, n, err)
		}
	}
}
