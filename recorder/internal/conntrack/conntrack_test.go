//go:build linux

package conntrack

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// unstable is what moves between two readings: time left, time since the start, and the
// number of users, of which reading is one. Nor are GRE's limits there through netlink.
var unstable = regexp.MustCompile(` \d+ (?:timeout=\d+, stream_timeout=\d+ )?((?:[A-Z_]+ )?src=)|delta-time=\d+|use=\d+`)

func stable(lines string) []string {
	all := strings.Split(strings.TrimSuffix(unstable.ReplaceAllString(lines, "$1"), "\n"), "\n")
	slices.Sort(all)
	return all
}

// traffic makes one flow of each kind over loopback.
func traffic(t *testing.T) {
	t.Helper()
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Error(err)
			return
		}
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { client.Close(); l.Close() })
		udp, err := net.Dial("udp", host+":9")
		if err != nil {
			t.Error(err)
			return
		}
		udp.Write([]byte("nobody answers"))
		udp.Close()
	}
	echo(t, unix.AF_INET, unix.IPPROTO_ICMP, []byte{8, 0, 0xf7, 0xf8, 0, 7, 0, 0}, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	echo(t, unix.AF_INET6, unix.IPPROTO_ICMPV6, []byte{128, 0, 0, 0, 0, 7, 0, 0}, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
	echo(t, unix.AF_INET, 99, []byte("some other protocol"), &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	echo(t, unix.AF_INET, unix.IPPROTO_GRE, []byte{0x20, 0, 8, 0, 0, 0, 0, 9}, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

func echo(t *testing.T, family, protocol int, packet []byte, to unix.Sockaddr) {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, packet, 0, to); err != nil {
		t.Error(err)
	}
}

// TestLinesAreTheKernels compares every line with what the kernel itself prints, with and
// without counters and timestamps.
func TestLinesAreTheKernels(t *testing.T) {
	for _, accounting := range []string{"0", "1"} {
		testns.Run(t, func() {
			testns.Track(t)
			for _, setting := range []string{"acct", "timestamp"} {
				if err := os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_"+setting, []byte(accounting), 0o644); err != nil {
					t.Error(err)
					return
				}
			}
			traffic(t)
			var text []byte
			protocols := map[string]int{}
			if err := Dump(func(e *Entry) bool {
				text = e.AppendLine(text, e.Start)
				protocols[ProtocolName(e.Protocol)]++
				return true
			}); err != nil {
				t.Error(err)
				return
			}
			for name, n := range map[string]int{"tcp": 2, "udp": 2, "icmp": 1, "icmpv6": 1, "unknown": 1} {
				if protocols[name] < n {
					t.Errorf("%d flows of %s, want %d", protocols[name], name, n)
				}
			}
			kernels, err := os.ReadFile("/proc/thread-self/net/nf_conntrack")
			if err != nil {
				t.Skipf("needs a kernel with CONFIG_NF_CONNTRACK_PROCFS: %v", err)
			}
			got, want := stable(string(text)), stable(string(kernels))
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i] != want[i] {
					t.Fatalf("line %d with accounting %s:\n%q\nwant, as the kernel prints,\n%q", i, accounting, got[i:], want[i:])
				}
			}
		})
	}
}

// TestLineForms covers what needs hardware, zones or labels to be seen.
func TestLineForms(t *testing.T) {
	addr := netip.MustParseAddr
	tuple := Tuple{Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), SrcPort: 1, DstPort: 2}
	zoned := tuple
	zoned.Zone = 4
	for want, e := range map[string]Entry{
		"ipv4     2 tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [OFFLOAD] mark=0 zone=0 use=3\n":                                                   {Family: 2, Protocol: 6, State: 3, Status: SeenReply | Assured | Offload, Orig: tuple, Reply: tuple, Use: 3},
		"ipv4     2 tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [HW_OFFLOAD] mark=0 zone=0 use=0\n":                                                {Family: 2, Protocol: 6, Status: SeenReply | HWOffload, Orig: tuple, Reply: tuple},
		"ipv4     2 sctp     132 7 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 zone-orig=4 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 mark=9 secctx=a:b use=1\n":                 {Family: 2, Protocol: 132, State: 4, Timeout: 7, Orig: zoned, Reply: tuple, Mark: 9, Label: "a:b", Use: 1},
		"ipv4     2 gre      47 0 src=10.0.0.1 dst=10.0.0.2 srckey=0x1 dstkey=0x2 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2 srckey=0x1 dstkey=0x2 zone-reply=4 mark=0 delta-time=5 use=1\n":               {Family: 2, Protocol: 47, Orig: tuple, Reply: zoned, Start: 1e9, Use: 1},
		"ipv4     2 tcp      6 0 STATE_77 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 packets=1 bytes=40 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 packets=0 bytes=0 mark=0 zone=5 use=0\n": {Family: 2, Protocol: 6, State: 77, Zone: 5, Orig: counted(tuple, 1, 40), Reply: counted(tuple, 0, 0)},
	} {
		if got := string(e.AppendLine(nil, 6e9+5)); got != want {
			t.Errorf("printed\n%q\nwant\n%q", got, want)
		}
	}
}

func counted(t Tuple, packets, bytes uint64) Tuple {
	t.HasCounter, t.Packets, t.Bytes = true, packets, bytes
	return t
}

// TestSummaryAtScale counts more entries than fit into a datagram, exactly.
func TestSummaryAtScale(t *testing.T) {
	const n, sources = 20_000, 7
	testns.Run(t, func() {
		testns.Inject(t, n, sources)
		s := NewSummary()
		if err := Dump(func(e *Entry) bool { s.Add(e); return true }); err != nil {
			t.Error(err)
			return
		}
		if s.Entries != n || s.ByState["tcp"]["ESTABLISHED"] != n || s.Assured != n || s.Unreplied != 0 || s.ByZone[0] != n {
			t.Errorf("summary %+v, want %d established and assured entries in zone 0", s, n)
		}
		top := s.TopSources()
		if len(top) != sources || top[0] != (Source{netip.MustParseAddr("10.0.0.0"), (n + sources - 1) / sources}) || s.SourcesError != 0 {
			t.Errorf("top sources %v with error %d", top, s.SourcesError)
		}
	})
}

// TestSourcesBeyondTheirCounters hides one hog among more sources than there are counters:
// it must come first, and its number must be right within the error that is told.
func TestSourcesBeyondTheirCounters(t *testing.T) {
	s := NewSummary()
	hog := netip.MustParseAddr("203.0.113.9")
	const entries, each = 4 * sourceCounters, 20
	hogs := uint64(0)
	for i := range entries {
		src := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		s.Add(&Entry{Family: unix.AF_INET, Protocol: unix.IPPROTO_TCP, Orig: Tuple{Src: src}})
		if i%each == 0 {
			hogs++
			s.Add(&Entry{Family: unix.AF_INET, Protocol: unix.IPPROTO_TCP, Orig: Tuple{Src: hog}})
		}
	}
	top := s.TopSources()
	if len(s.sources) > sourceCounters || len(top) > topSources {
		t.Errorf("%d counters and %d sources, want at most %d and %d", len(s.sources), len(top), sourceCounters, topSources)
	}
	if top[0].Addr != hog || top[0].N > hogs || top[0].N+s.SourcesError < hogs || s.SourcesError == 0 || s.SourcesError > s.Entries/sourceCounters {
		t.Errorf("top source %v with error %d, want %v with %d", top[0], s.SourcesError, hog, hogs)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 20, 0, 1, 0x80, 16, 0, 1, 0x80, 8, 0, 1, 0, 10, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Entry
		if e.decode(b) { // must not panic, nor may what it prints be more than one line
			if line := string(e.AppendLine(nil, 0)); strings.Count(line, "src=") < 2 || !strings.HasSuffix(line, "\n") {
				t.Error(line)
			}
		}
	})
}

// BenchmarkDump dumps, prints and counts a table; compare with conntrack(8) -L.
func BenchmarkDump(b *testing.B) {
	const n = 200_000
	testns.Run(b, func() {
		testns.Inject(b, n, 50_000)
		line := make([]byte, 0, 1024)
		for b.Loop() {
			s, bytes := NewSummary(), 0
			if err := Dump(func(e *Entry) bool {
				s.Add(e)
				bytes += len(e.AppendLine(line, 0))
				return true
			}); err != nil || s.Entries != n {
				b.Error(fmt.Errorf("%d entries: %w", s.Entries, err))
				return
			}
			b.ReportMetric(float64(bytes), "bytes")
		}
		b.ReportAllocs()
	})
}
