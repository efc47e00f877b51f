//go:build linux

package vital

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// tree writes a fixture of /proc below a temporary root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		write(t, root, path, text)
	}
	return root
}

func write(t *testing.T, root, path, text string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// measure reads a meter's last variant twice, a second apart, between which change
// changes the tree.
func measure(t *testing.T, m *Meter, root string, change func()) map[string]float64 {
	t.Helper()
	v := m.Variants[len(m.Variants)-1]
	r, err := v.Open(Env{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := make([]float64, len(m.Vitals))
	start := time.Unix(1000, 0)
	if err := r.Read(start, out); err != nil {
		t.Fatal(err)
	}
	change()
	for i := range out {
		out[i] = math.NaN()
	}
	if err := r.Read(start.Add(time.Second), out); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for i, vital := range m.Vitals {
		got[vital.Name] = out[i]
	}
	return got
}

func TestMeters(t *testing.T) {
	const netstat = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPReqQFullDrop TCPSynRetrans TCPTimeouts EmbryonicRsts TCPToZeroWindowAdv IPReversePathFilter TCPDeferAcceptDrop\nTcpExt: "
	const snmp = "Tcp: OutSegs RetransSegs InErrs OutRsts EstabResets AttemptFails ActiveOpens PassiveOpens\nTcp: "
	const udp, ip = "\nUdp: RcvbufErrors\nUdp: ", "\nIp: OutNoRoutes OutRequests\nIp: "
	const conntrack = "entries searched found new invalid ignore delete delete_list insert insert_failed drop early_drop x\n"
	const protocols = "protocol  size sockets  memory press maxhdr\n"
	const neighbours = "entries res_failed unresolved_discards table_fulls\n"
	psi := func(some, full int) string {
		const avg = "avg10=99.00 avg60=99.00 avg300=99.00"
		return fmt.Sprintf("some %s total=%d\nfull %s total=%d\n", avg, some, avg, full)
	}
	softnet := func(counters string) string { return "0000001f " + counters + " 0 0 0 0 0 0\n" }
	const dev = "Inter-|   Receive  |  Transmit\n face |bytes packets\n    lo: 1 1 99 99 0 0 0 0 1 1 99 99 0 0 0 0\n"
	for _, c := range []struct {
		meter         *Meter
		before, after map[string]string
		want          map[string]float64
	}{
		{tcpMeter,
			map[string]string{"proc/net/netstat": netstat + "1 2 3 4 5 6 0 0 0 0\n", "proc/net/snmp": snmp + "100 0 0 7 3 5 0 0" + udp + "0" + ip + "1 0\n",
				"proc/net/snmp6": "Ip6OutNoRoutes \t1\nUdp6RcvbufErrors \t2\n"},
			map[string]string{"proc/net/netstat": netstat + "11 7 23 9 8 10 30 2 8 1\n", "proc/net/snmp": snmp + "190 10 0 8 4 42 14 3" + udp + "5" + ip + "3 30\n",
				"proc/net/snmp6": "Ip6OutNoRoutes \t2\nIp6OutRequests \t3\nUdp6RcvbufErrors \t6\n"},
			map[string]float64{"listen.overflows": 5, "listen.drops": 20, "cookies": 15, "syn.retrans": 3, "syn.retrans.ratio": 0.1, "established.resets.ratio": 1.0 / 17, "connect.failed.ratio": 0.5, "no.route.ratio": 0.25, "retrans.ratio": 0.1, "retrans": 10, "resets": 2, "rto": 4, "rto.ratio": 0.03,
				"established.resets": 1, "connect.failed": 7, "zero.windows": 2, "udp.rcvbuf": 9, "no.route": 11}},
		{pressureMeter,
			map[string]string{"proc/pressure/cpu": psi(100, 0), "proc/pressure/memory": psi(7, 7), "proc/pressure/io": psi(0, 0)},
			map[string]string{"proc/pressure/cpu": psi(250100, 0), "proc/pressure/memory": psi(7, 7), "proc/pressure/io": psi(1_000_020, 3)},
			map[string]float64{"psi.cpu": 0.25, "psi.memory": 0, "psi.io": 1}},
		{neighbourMeter,
			map[string]string{"proc/net/stat/arp_cache": neighbours + "3 1 5 0\n3 0 0 0\n", "proc/net/stat/ndisc_cache": neighbours + "3 0 0 0\n"},
			map[string]string{"proc/net/stat/arp_cache": neighbours + "9 a 5 0\n9 1 0 0\n", "proc/net/stat/ndisc_cache": neighbours + "9 0 2 4\n"},
			map[string]float64{"neighbour.failed": 16}},
		{softnetMeter,
			map[string]string{"proc/net/softnet_stat": softnet("00000001 00000002") + softnet("00000000 00000000")},
			map[string]string{"proc/net/softnet_stat": softnet("0000000b 00000003") + softnet("00000001 00000002")},
			map[string]float64{"softnet.drops": 11, "softnet.squeezed": 3}},
		{nicMeter,
			map[string]string{"proc/net/dev": dev + "  eth0: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n"},
			map[string]string{"proc/net/dev": dev + "  eth0: 9 9 1 2 3 4 0 0 9 9 5 6 7 0 8 0\n"},
			map[string]float64{"nic.drops": 8, "nic.errors": 28}},
		{cpuMeter,
			map[string]string{"proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1\n"},
			map[string]string{"proc/stat": "cpu  110 0 110 860 0 0 15 5 50 0\ncpu0 1 1 1 1\n"},
			map[string]float64{"cpu.softirq": 0.15, "cpu.steal": 0.05}},
		{sockstatMeter,
			map[string]string{"proc/net/sockstat": "sockets: used 14\nTCP: inuse 1 orphan 3 tw 6 alloc 1 mem 2\nUDP: inuse 0 mem 9\n",
				"proc/net/protocols": protocols + "TCP       2304      0     160   no       0\n"},
			map[string]string{"proc/net/protocols": protocols + "UDP 1 1 1 NI 1\nTCP       2304      0     160   yes      0\n"},
			map[string]float64{"tcp.mem": 2 * float64(os.Getpagesize()), "tcp.orphans": 3, "tcp.time_wait": 6, "mem.pressure": 1}},
		{sockstatMeter, // whose account ends what the flag still says
			map[string]string{"proc/net/sockstat": "TCP: orphan 0 tw 0 mem 200\n", "proc/sys/net/ipv4/tcp_mem": "100\t150\t200\n", "proc/net/protocols": protocols + "TCP 1 0 200 yes 0\n"},
			map[string]string{"proc/net/sockstat": "TCP: orphan 0 tw 0 mem 99\n"},
			map[string]float64{"tcp.mem": 99 * float64(os.Getpagesize()), "tcp.orphans": 0, "tcp.time_wait": 0, "mem.pressure": 0}},
		{sockstatMeter,
			map[string]string{"proc/net/sockstat": "TCP: orphan 0 tw 0 mem 99\n", "proc/sys/net/ipv4/tcp_mem": "100\t150\t200\n", "proc/net/protocols": protocols + "TCP 1 0 120 yes 0\n"},
			map[string]string{"proc/net/sockstat": "TCP: orphan 0 tw 0 mem 120\n"},
			map[string]float64{"tcp.mem": 120 * float64(os.Getpagesize()), "tcp.orphans": 0, "tcp.time_wait": 0, "mem.pressure": 1}},
		{conntrackMeter,
			map[string]string{
				"proc/sys/net/netfilter/nf_conntrack_count": "50\n",
				"proc/sys/net/netfilter/nf_conntrack_max":   "200\n",
				"proc/net/stat/nf_conntrack":                conntrack + "32 0 0 0 0 0 0 0 0 00000001 00000002 00000003 00000009\n",
			},
			map[string]string{"proc/net/stat/nf_conntrack": conntrack + "32 0 0 0 0 0 0 0 0 00000011 00000002 00000004 00000009\n"},
			map[string]float64{"conntrack.fill": 0.25, "conntrack.drops": 17}},
	} {
		root := tree(t, c.before)
		got := measure(t, c.meter, root, func() {
			for path, text := range c.after {
				write(t, root, path, text)
			}
		})
		for name, want := range c.want {
			if math.Abs(got[name]-want) > 1e-9 {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %d vitals, %d expected", c.meter.ID, len(got), len(c.want))
		}
	}
}

// The kernel begins to print IcmpMsg before Tcp when the first ICMP message comes: what
// stood at a place before then stands elsewhere, and its rate goes on (resets
// and retrans.ratio were 0 from then on, once).
func TestTCPAfterTheFirstICMPMessage(t *testing.T) {
	const ip, icmp, tcp = "Ip: Forwarding InReceives\nIp: 1 9\n", "Icmp: InMsgs\nIcmp: 1\n", "Tcp: OutSegs RetransSegs InErrs OutRsts EstabResets\nTcp: "
	const udp = "Udp: InDatagrams NoPorts InErrors\nUdp: 1 1 0\n"
	root := tree(t, map[string]string{
		"proc/net/netstat": "TcpExt: ListenDrops\nTcpExt: 0\n",
		"proc/net/snmp":    ip + icmp + tcp + "100 0 0 7 3\n" + udp,
	})
	got := measure(t, tcpMeter, root, func() {
		write(t, root, "proc/net/snmp", ip+icmp+"IcmpMsg: InType3 OutType3\nIcmpMsg: 1 1\n"+tcp+"190 10 0 9 6\n"+udp)
	})
	if got["resets"] != 5 || math.Abs(got["retrans.ratio"]-0.1) > 1e-9 {
		t.Errorf("resets %v, retrans.ratio %v; want 5 and 0.1", got["resets"], got["retrans.ratio"])
	}
}

// A text that is not there tells of the kernel, and one that cannot be opened for another reason of that.
func TestAbsent(t *testing.T) {
	for _, c := range []struct {
		meter      *Meter
		path, says string
	}{
		{pressureMeter, "proc/pressure/cpu", "keeps no pressure stall information"},
		{conntrackMeter, "proc/sys/net/netfilter/nf_conntrack_count", "is not in this kernel"},
		{neighbourMeter, "proc/net/stat/arp_cache", "first network namespace only"},
	} {
		root, open := t.TempDir(), c.meter.Variants[0].Open
		if _, err := open(Env{Root: root}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("without %s: %v", c.path, err)
		}
		path := filepath.Join(root, c.path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(path, path)); err != nil {
			t.Fatal(err)
		}
		if _, err := open(Env{Root: root}); err == nil || strings.Contains(err.Error(), c.says) {
			t.Errorf("%s, a link to itself: %v", c.path, err)
		}
	}
}

func TestRate(t *testing.T) {
	var r rate
	at := time.Unix(0, 0)
	if v := r.add(at, 100); !math.IsNaN(v) {
		t.Errorf("first sample gives %v, want NaN", v)
	}
	// Ten events in one tick are ten events in the second that follows, then none.
	want := []float64{40, 20, 10 / 0.75, 10, 0, 0}
	for i, w := range want {
		if v := r.add(at.Add(time.Duration(i+1)*250*time.Millisecond), 110); math.Abs(v-w) > 1e-9 {
			t.Errorf("tick %d gives %v, want %v", i+1, v, w)
		}
	}
	if v := r.add(at.Add(2*time.Second), 3); !math.IsNaN(v) {
		t.Errorf("a counter that went backwards gives %v, want NaN", v)
	}
	if v := r.add(at.Add(3*time.Second), 5); v != 2 {
		t.Errorf("after the reset %v, want 2", v)
	}
}

// A host that allows nothing leaves a board that reads NaN everywhere, says why, once,
// for each meter, and never fails.
func TestBoardWithoutAnything(t *testing.T) {
	var said []string
	b := Open(Env{Root: t.TempDir()}, testns.Log(func(line string) { said = append(said, line) }))
	defer b.Close()
	for range 3 {
		b.Read(time.Now())
	}
	if v := b.Value("listen.overflows"); !math.IsNaN(v) {
		t.Errorf("listen.overflows is %v without /proc", v)
	}
	tcp := 0
	for _, line := range said {
		if strings.Contains(line, "vitals of tcp cannot be measured") {
			tcp++
		}
	}
	if tcp != 1 {
		t.Errorf("said %d times that tcp cannot be measured, want once: %q", tcp, said)
	}
	for _, s := range b.Sources(time.Time{}, time.Now()) {
		if s.Name == "vitals.tcp" && (s.State != format.Unsupported || s.Reason == "") {
			t.Errorf("vitals.tcp is %+v, want unsupported with a reason", s)
		}
	}
}

func TestVitalsAreDocumentedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Meters {
		for _, v := range m.Vitals {
			if seen[v.Name] || v.Doc == "" || v.Unit == "" {
				t.Errorf("vital %q: twice, or without unit or doc", v.Name)
			}
			seen[v.Name] = true
			if unit := Units()[v.Name]; unit != v.Unit {
				t.Errorf("Units has %q at %q", unit, v.Name)
			}
		}
		for i, v := range m.Variants {
			if (v.Lack == "") != (i == 0) {
				t.Errorf("variant %s of %s: only the best lacks nothing", v.Name, m.ID)
			}
		}
	}
}
