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

	"github.com/spikebox/spikebox/format/member"
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
			if err := Dump(func(e *member.ConntrackEntry) bool {
				text = e.Append(text, e.Start)
				protocols[e.Proto]++
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

// TestSummaryAtScale counts more entries than fit into a datagram, exactly.
func TestSummaryAtScale(t *testing.T) {
	const n, sources = 20_000, 7
	testns.Run(t, func() {
		testns.Inject(t, n, sources)
		s := NewSummary()
		if err := Dump(func(e *member.ConntrackEntry) bool { s.Add(e); return true }); err != nil {
			t.Error(err)
			return
		}
		if s.Entries != n || s.ByState["tcp"]["ESTABLISHED"] != n || s.Assured != n || s.Unreplied != 0 || s.ByZone[0] != n {
			t.Errorf("summary %+v, want %d established and assured entries in zone 0", s, n)
		}
		top := s.TopSources()
		if len(top) != sources || top[0] != (member.ConntrackSource{Addr: netip.MustParseAddr("10.0.0.0"), Entries: (n + sources - 1) / sources}) || s.SourcesError != 0 {
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
		s.Add(&member.ConntrackEntry{Proto: "tcp", Orig: member.ConntrackTuple{Src: src}})
		if i%each == 0 {
			hogs++
			s.Add(&member.ConntrackEntry{Proto: "tcp", Orig: member.ConntrackTuple{Src: hog}})
		}
	}
	top := s.TopSources()
	if len(s.sources) > sourceCounters || len(top) > topSources {
		t.Errorf("%d counters and %d sources, want at most %d and %d", len(s.sources), len(top), sourceCounters, topSources)
	}
	if top[0].Addr != hog || top[0].Entries > hogs || top[0].Entries+s.SourcesError < hogs || s.SourcesError == 0 || s.SourcesError > s.Entries/sourceCounters {
		t.Errorf("top source %v with error %d, want %v with %d", top[0], s.SourcesError, hog, hogs)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 20, 0, 1, 0x80, 16, 0, 1, 0x80, 8, 0, 1, 0, 10, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var e member.ConntrackEntry
		if decode(&e, b) { // must not panic, nor may what it prints be more than one line
			if line := string(e.Append(nil, 0)); strings.Count(line, "src=") < 2 || !strings.HasSuffix(line, "\n") {
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
			if err := Dump(func(e *member.ConntrackEntry) bool {
				s.Add(e)
				bytes += len(e.Append(line, 0))
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
