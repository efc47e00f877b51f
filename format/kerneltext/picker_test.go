package kerneltext

import (
	"bytes"
	"math"
	"slices"
	"testing"
)

// picked is what ParseSNMP gives of the same.
func picked(text []byte, wanted []string) ([]float64, error) {
	all := map[string]float64{}
	err := ParseSNMP(text, func(r SNMPRow) { all[string(r.Group)+" "+string(r.Name)] = r.Value })
	values := make([]float64, len(wanted))
	for i, w := range wanted {
		values[i] = all[w]
	}
	return values, err
}

// samePicks has one Picker take what is wanted of one text after the other.
func samePicks(t *testing.T, wanted []string, texts ...[]byte) {
	t.Helper()
	p := NewPicker(wanted)
	for n, text := range texts {
		want, failed := picked(text, wanted)
		got, err := p.Pick(text)
		if failed != nil {
			continue // what is wanted may be right all the same
		}
		if err != nil {
			t.Errorf("text %d: %v", n, err)
		}
		for i := range want {
			if got[i] != want[i] && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
				t.Errorf("text %d: %s is %v, want %v in %q", n, wanted[i], got[i], want[i], text)
			}
		}
	}
}

// Icmp's messages come between the others while the kernel runs, and a name in the middle of a line.
func TestPickerFindsByName(t *testing.T) {
	wanted := []string{"Tcp RetransSegs", "Tcp OutSegs", "Udp RcvbufErrors", "Udp OutSegs", "Gone Away"}
	before := []byte("Icmp: InMsgs\nIcmp: 0\nTcp: MaxConn OutSegs RetransSegs\nTcp: -1 10 1\nUdp: RcvbufErrors\nUdp: 7\n")
	more := []byte("Icmp: InMsgs\nIcmp: 1\nIcmpMsg: InType8\nIcmpMsg: 1\nTcp: MaxConn OutSegs RetransSegs\nTcp: -1 20 2\nUdp: RcvbufErrors\nUdp: 8\n")
	moved := []byte("Icmp: InMsgs\nIcmp: 1\nTcp: New MaxConn OutSegs RetransSegs\nTcp: 99 -1 30 3\nUdp: OutSegs RcvbufErrors\nUdp: 5 9\n")
	short := []byte("Tcp: RetransSegs OutSegs\nTcp: 4\n")
	samePicks(t, wanted, before, before, more, more, before, moved, short, moved, []byte{}, before)
	for _, name := range []string{"proc_net_netstat", "proc_net_snmp"} {
		text := testText(t, name)
		var all []string
		if err := ParseSNMP(text, func(r SNMPRow) { all = append(all, string(r.Group)+" "+string(r.Name)) }); err != nil {
			t.Fatal(err)
		}
		samePicks(t, all, text, text)
	}
}

func TestPickerDoesNotAllocate(t *testing.T) {
	text, p := testText(t, "proc_net_netstat"), NewPicker([]string{"TcpExt ListenDrops", "TcpExt TCPTimeouts"})
	p.Pick(text)
	if n := testing.AllocsPerRun(100, func() { p.Pick(text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNamed(t *testing.T) {
	text := testText(t, "proc_net_snmp6")
	err := ParseNameValue(text, func(v NameValue) {
		if got, err := Named(text, v.Name); err != nil || got != v.Value {
			t.Errorf("%s is %v, %v; want %v", v.Name, got, err, v.Value)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "Ip6InX 5\nXIp6In 5\nIp6In\n", "Ip6In"} {
		if got, err := Named([]byte(text), []byte("Ip6In")); got != 0 || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := Named([]byte("a 1\nIp6In \tx\n"), []byte("Ip6In")); err == nil {
		t.Error("no error for what is no number")
	}
}

func FuzzPicker(f *testing.F) {
	f.Add([]byte("Tcp: A B\nTcp: 1 2\n"), []byte("Tcp: B A\nTcp: 3 4\n"))
	f.Add(testText(f, "proc_net_snmp"), []byte("Tcp: A\nTcp: 1\n\n"))
	f.Add([]byte("Tcp: A B A\nTcp: 1 2 0"), []byte("Tcp: A\n"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var wanted []string
		ParseSNMP(first, func(r SNMPRow) {
			// Nobody wants a number twice.
			if name := string(r.Group) + " " + string(r.Name); !bytes.ContainsRune(r.Group, ' ') && len(wanted) < 20 && !slices.Contains(wanted, name) {
				wanted = append(wanted, name)
			}
		})
		samePicks(t, wanted, first, first, second, second, first)
	})
}
