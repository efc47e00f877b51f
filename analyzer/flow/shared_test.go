package flow

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// captures are kept outside the repository.
const captures = "../../../shared/captures"

// shared returns the captures that match a pattern, by their names in truth/.
func shared(t testing.TB, pattern string) map[string]string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(captures, pattern))
	if len(files) == 0 {
		t.Skipf("no captures %s beside the repository", pattern)
	}
	byName := map[string]string{}
	for _, f := range files {
		byName[filepath.Base(f)] = f
	}
	return byName
}

// analyse returns the rows of a capture in the order of their first packets.
func analyse(t testing.TB, path string, events func(*Event)) ([]Row, Totals) {
	t.Helper()
	src, err := packet.OpenFiles(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var rows []Row
	table := NewTable(func(f *Flow) { rows = append(rows, f.Row()) }, Options{Events: events})
	for {
		p, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		table.Add(p)
	}
	table.Flush()
	slices.SortStableFunc(rows, func(a, b Row) int { return int(a.FirstFrame) - int(b.FirstFrame) })
	return rows, table.Totals()
}

// truth is what tshark found in a capture.
type truth struct {
	Packets    uint64   `json:"packets"`
	TCPPackets uint64   `json:"tcp_packets"`
	Streams    []stream `json:"streams"`
}

// stream is one TCP stream; a is who sent the first packet.
type stream struct {
	A             [2]string `json:"a"`
	B             [2]string `json:"b"`
	PacketsAB     uint32    `json:"pkts_ab"`
	PacketsBA     uint32    `json:"pkts_ba"`
	BytesAB       uint64    `json:"bytes_ab"`
	BytesBA       uint64    `json:"bytes_ba"`
	SYNOffsets    []float64 `json:"syn_offsets"`
	SYNACKOffsets []float64 `json:"synack_offsets"`
}

// readTruth reads tshark's results for a capture.
func readTruth(t testing.TB, name string) (tr truth) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(captures, "truth", name+".tshark.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &tr); err != nil {
		t.Fatal(err)
	}
	return tr
}

// identity is what every analyzer must agree on about a flow.
type identity struct {
	A, B                 netip.AddrPort
	PacketsAB, PacketsBA uint32
	BytesAB, BytesBA     uint64
}

// ordered puts the smaller end first, because tshark and we name the ends by other rules.
func (i identity) ordered() identity {
	if i.A.Compare(i.B) <= 0 {
		return i
	}
	return identity{i.B, i.A, i.PacketsBA, i.PacketsAB, i.BytesBA, i.BytesAB}
}

// endpoint parses an end of a stream.
func endpoint(t testing.TB, e [2]string) netip.AddrPort {
	t.Helper()
	port, err := strconv.ParseUint(e[1], 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(e[0]), uint16(port))
}

// Flows, packets and bytes equal tshark's in every capture.
func TestSharedIdentity(t *testing.T) {
	files := shared(t, "*/*.pcap*")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".pcap") && !strings.HasSuffix(name, ".pcap.gz") {
			continue // formats/ holds no TCP, truth/ no captures
		}
		t.Run(name, func(t *testing.T) {
			tr := readTruth(t, name)
			rows, totals := analyse(t, files[name], nil)
			if totals.Packets != tr.Packets || totals.TCPPackets != tr.TCPPackets {
				t.Errorf("%d packets, %d TCP; want %d, %d", totals.Packets, totals.TCPPackets, tr.Packets, tr.TCPPackets)
			}
			var got, want []identity
			for _, r := range rows {
				got = append(got, identity{
					netip.AddrPortFrom(r.Client, r.ClientPort), netip.AddrPortFrom(r.Server, r.ServerPort),
					r.C2S.Packets, r.S2C.Packets, r.C2S.Bytes, r.S2C.Bytes,
				}.ordered())
			}
			for _, s := range tr.Streams {
				want = append(want, identity{
					endpoint(t, s.A), endpoint(t, s.B), s.PacketsAB, s.PacketsBA, s.BytesAB, s.BytesBA,
				}.ordered())
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The handshakes of the captures made on Linux 6.18.
func TestSharedHandshakes(t *testing.T) {
	files := shared(t, "linux-6.18/*.pcap")
	for name, want := range map[string]struct {
		syn, synack          uint32 // retransmissions of the flow with the most
		synSched, ackedSched string
		answered             int
		end                  string
		repeating            int // flows that repeat as often
	}{
		"syn-linear-default.pcap": {10, 0, "linear", "none", 0, "unanswered", 1},
		"syn-linear-0.pcap":       {6, 0, "exponential-1s", "none", 0, "unanswered", 1},
		"synack-retrans.pcap":     {1, 6, "exponential-1s", "exponential-1s", 0, "open", 1},
		"listen-overflow.pcap":    {10, 0, "linear", "none", 0, "unanswered", 6},
		"final-ack-dropped.pcap":  {0, 5, "none", "exponential-1s", 5, "open", 1},
	} {
		t.Run(name, func(t *testing.T) {
			rows, _ := analyse(t, files[name], nil)
			found := 0
			for _, r := range rows {
				if r.SYNRetransmits != want.syn || r.SYNACKRetransmits != want.synack {
					continue
				}
				found++
				if r.SYNSchedule != want.synSched || r.SYNACKSchedule != want.ackedSched ||
					r.SYNACKsAnswered != want.answered || r.End != want.end {
					t.Errorf("%v:%d: SYN %s, SYN-ACK %s, %d answered, %s", r.Client, r.ClientPort,
						r.SYNSchedule, r.SYNACKSchedule, r.SYNACKsAnswered, r.End)
				}
			}
			if found != want.repeating {
				t.Errorf("%d flows with %d and %d retransmissions, want %d", found, want.syn, want.synack, want.repeating)
			}
		})
	}
}

// Offsets of SYNs and SYN-ACKs equal tshark's, to its microsecond.
func TestSharedOffsets(t *testing.T) {
	files := shared(t, "linux-6.18/*.pcap*")
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 2e-6 && b-a < 2e-6 })
	for name, path := range files {
		tr := readTruth(t, name)
		rows, _ := analyse(t, path, nil)
		if len(rows) != len(tr.Streams) {
			t.Fatalf("%s: %d flows, want %d", name, len(rows), len(tr.Streams))
		}
		for i, s := range tr.Streams {
			if diff := cmp.Diff(s.SYNOffsets, rows[i].SYNOffsets, near); diff != "" {
				t.Errorf("%s: SYN: %s", name, diff)
			}
			if diff := cmp.Diff(s.SYNACKOffsets, rows[i].SYNACKOffsets, near); diff != "" {
				t.Errorf("%s: SYN-ACK: %s", name, diff)
			}
		}
	}
}

// A SYN flood that was answered with cookies: nothing beyond the first SYN of each source.
func TestSharedCookies(t *testing.T) {
	rows, totals := analyse(t, shared(t, "linux-6.18/*.pcap")["syn-flood-cookies.pcap"], nil)
	if len(rows) != 601 || totals.Flows != 601 {
		t.Fatalf("%d flows", len(rows))
	}
	for _, r := range rows {
		if r.SYNRetransmits != 0 || r.SYNSchedule != "none" {
			t.Errorf("%v: %d SYN retransmissions", r.Client, r.SYNRetransmits)
		}
		if r.SYNACKRetransmits > 0 && r.SYNACKSchedule != "exponential-1s" {
			t.Errorf("%v: SYN-ACK %v, %s", r.Client, r.SYNACKOffsets, r.SYNACKSchedule)
		}
	}
}

// Retransmitted segments, their mechanisms and closed windows equal the kernel's counters.
func TestSharedKernelCounters(t *testing.T) {
	path := shared(t, "linux-6.18/*.pcap.gz")["lossy-http-server.pcap.gz"]
	data, err := os.ReadFile(filepath.Join(captures, "linux-6.18", "lossy-http.kernel_truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var kernel map[string]map[string]uint64
	if err := json.Unmarshal(data, &kernel); err != nil {
		t.Fatal(err)
	}
	rows, totals := analyse(t, path, nil)
	sum := func(f func(*Row) uint64) (n uint64) {
		for i := range rows {
			n += f(&rows[i])
		}
		return n
	}
	type counter struct {
		got, want uint64
	}
	for name, c := range map[string]counter{
		"server's segments": {totals.Retransmitted[rows[0].Server], kernel["s"]["TcpRetransSegs"]},
		"client's segments": {totals.Retransmitted[rows[0].Client], kernel["c"]["TcpRetransSegs"]},
		"server's fast": {
			sum(func(r *Row) uint64 { return uint64(r.S2C.RetransmitsFast) }), kernel["s"]["TcpExtTCPFastRetrans"],
		},
		"client's fast": {
			sum(func(r *Row) uint64 { return uint64(r.C2S.RetransmitsFast) }), kernel["c"]["TcpExtTCPFastRetrans"],
		},
		// TCPTimeouts has the SYN-ACKs in it (tcp_syn_ack_timeout); slow start sends the rest again.
		"server's timeouts": {
			sum(func(r *Row) uint64 { return uint64(r.S2C.RetransmitsTimeout) }),
			kernel["s"]["TcpExtTCPTimeouts"] + kernel["s"]["TcpExtTCPSlowStartRetrans"],
		},
		"client's timeouts": {
			sum(func(r *Row) uint64 { return uint64(r.C2S.RetransmitsTimeout) }), kernel["c"]["TcpExtTCPTimeouts"],
		},
		"client's probes": {
			sum(func(r *Row) uint64 { return uint64(r.C2S.RetransmitsProbe) }), kernel["c"]["TcpExtTCPLossProbes"],
		},
		"SYN-ACKs": {
			sum(func(r *Row) uint64 { return uint64(r.SYNACKRetransmits) }), kernel["s"]["TcpExtTCPSynRetrans"],
		},
		"closed windows": {
			sum(func(r *Row) uint64 { return uint64(r.C2S.ZeroWindows) }), kernel["c"]["TcpExtTCPToZeroWindowAdv"],
		},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, the kernel counted %d", name, c.got, c.want)
		}
	}
	if totals.Ambiguous+totals.Reordered+totals.CaptureDuplicates != 0 {
		t.Errorf("totals %+v: the capture is complete and in order", totals)
	}
}
