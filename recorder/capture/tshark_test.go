//go:build linux

package capture

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Everything that Wireshark must see right: times to the nanosecond, VLAN tags, lengths,
// direction, comment, interface statistics.
func TestTsharkReads(t *testing.T) { eachWay(t, testTsharkReads) }

func testTsharkReads(t *testing.T, way Way) {
	a, b := testns.Pair(t)
	s := arm(t, b.NS, SetConfig{Way: way, Interfaces: []string{b.Link}, Bytes: 1 << 20})
	want, last := exchangeTagged(t, s, openWire(t, a.NS, a.Link), openWire(t, b.NS, b.Link))
	c, err := s.Cut(time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	file := write(t, c, PcapngOptions{
		Trigger: last.Add(2), Comment: "trigger: rtt.p99 > 200ms",
		Application: "test 1", OS: "Linux", Hardware: "two CPUs",
	})
	rows := tshark(t, file, "-Y", "udp.port == 9", "-e", "frame.packet_flags_direction", "-e", "ieee8021ad.id", "-e", "vlan.id",
		"-e", "frame.len", "-e", "frame.cap_len", "-e", "frame.comment", "-e", "frame.time_epoch")
	for i, exp := range [][]string{
		{"1", "", "", "600", "42", ""}, {"2", "", "", "600", "42", ""},
		{"1", "", "77", "604", "46", ""}, {"2", "", "77", "604", "46", ""},
		{"1", "5", "77", "608", "50", ""}, {"2", "5", "77", "608", "50", "trigger: rtt.p99 > 200ms"},
	} {
		if i >= len(rows) || i >= len(want) {
			t.Fatalf("%d packets: %v", len(rows), rows)
		}
		for k := range exp {
			if dec(rows[i][k]) != exp[k] {
				t.Errorf("packet %d: got %v, want %v", i, rows[i], exp)
				break
			}
		}
		if rows[i][6] != want[i] || strings.HasSuffix(want[i], "000000") {
			t.Errorf("packet %d: time %s, want %s", i, rows[i][6], want[i])
		}
	}
	info := tool(t, file, "capinfos")
	for _, want := range []string{"Name = " + b.Link, "Capture application:", "Number of stat entries = 1", "Strict time order:   True"} {
		if !strings.Contains(info, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, info)
		}
	}
}

// exchangeTagged sends a packet without, with one and with two VLAN tags each way, and gives
// the times at which they were recorded, and the last of them.
func exchangeTagged(t *testing.T, s *Set, in, out *wire) (times []string, last time.Time) {
	t.Helper()
	plain := numbered(7, 1, 600)
	tagged := join(plain[:12], []byte{0x81, 0, 0x60, 77}, plain[12:])
	double := join(plain[:12], []byte{0x88, 0xa8, 0, 5}, tagged[12:])
	for _, f := range [][]byte{plain, tagged, double} {
		if err := in.send(f); err != nil {
			t.Fatal(err)
		}
		eventually(t, "packet to arrive", func() bool { return countUDP(t, s)%2 == 1 })
		if err := out.send(f); err != nil {
			t.Fatal(err)
		}
		eventually(t, "packet to leave", func() bool { return countUDP(t, s)%2 == 0 })
	}
	file, _ := cutNow(t, s)
	for _, f := range frames(t, file) {
		if _, ok := udpAt(f.data); ok {
			last = f.Timestamp
			times = append(times, fmt.Sprintf("%d.%09d", last.Unix(), last.Nanosecond()))
		}
	}
	return times, last
}

// dec takes the 0x00000002 that tshark prints of the direction for 2.
func dec(s string) string { return strings.TrimPrefix(s, "0x0000000") }

// udpAt finds the numbered packets behind any tags.
func udpAt(p []byte) (int, bool) {
	for off := 12; off+12 < len(p); off += 4 {
		if p[off] == 0x08 && p[off+1] == 0 {
			return off, p[off+11] == 17
		}
	}
	return 0, false
}

func countUDP(t testing.TB, s *Set) int {
	file, _ := cutNow(t, s)
	n := 0
	for _, f := range frames(t, file) {
		if _, ok := udpAt(f.data); ok {
			n++
		}
	}
	return n
}
