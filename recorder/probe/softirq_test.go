//go:build linux

package probe

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// softirqRuns reads how often a vector has run, from /proc/softirqs.
func softirqRuns(t *testing.T, vector string) (runs uint64) {
	t.Helper()
	text, err := os.ReadFile("/proc/softirqs")
	must(t, err)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] != vector+":" {
			continue
		}
		for _, f := range fields[1:] {
			n, err := strconv.ParseUint(f, 10, 64)
			must(t, err)
			runs += n
		}
	}
	return runs
}

func TestSoftirqsAreAllCounted(t *testing.T) {
	ns := testns.New(t)
	first := softirqRuns(t, "NET_RX")
	s := armAll(t, Options{})
	armed := softirqRuns(t, "NET_RX")
	testns.Do(t, ns, func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		defer unix.Close(fd)
		for range 2000 { // through loopback: each raises NET_RX
			unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9})
		}
	})
	before := softirqRuns(t, "NET_RX")
	var rx Durations
	read := func() {
		must(t, s.Softirqs.Read(func(cpu, vector int, d *Durations) {
			if vector == NetRX {
				rx.Merge(d)
			}
		}))
	}
	read()
	after := softirqRuns(t, "NET_RX")
	// One run per CPU may be under way at each of the readings.
	if before-armed < 100 {
		t.Fatalf("only %d runs of NET_RX", before-armed)
	}
	slack := uint64(len(s.Softirqs.cpus.slots))
	if rx.Count+slack < before-armed || rx.Count > after-first+slack {
		t.Errorf("%d runs of NET_RX, kernel counts %d to %d", rx.Count, before-armed, after-first)
	}
	if rx.Max <= 0 || rx.Sum < rx.Max || rx.mean() > rx.Max {
		t.Errorf("longest %v, sum %v", rx.Max, rx.Sum)
	}
}

func TestEchoDelay(t *testing.T) {
	const asked = 100
	ns := testns.New(t)
	w := wire(t, ns, "10.9.0.1/24")
	go drain(w)
	s := armAll(t, Options{NetNS: inode(t, ns)})
	other := armAll(t, Options{NetNS: 1})
	must(t, s.Echo.Watch(true))
	must(t, other.Echo.Watch(true))
	for i := range asked {
		_, err := w.Write(echoRequest([4]byte{10, 9, 0, 2}, [4]byte{10, 9, 0, 1}, uint16(i)))
		must(t, err)
	}
	eventually(t, "echo replies", func() bool { return counter(t, ns, "Icmp", "OutEchoReps") == asked })
	var d Durations
	must(t, s.Echo.Read(&d))
	if d.Count != asked || d.Max <= 0 || d.mean() > d.Max {
		t.Errorf("%d replies, want %d; mean %v, max %v", d.Count, asked, d.mean(), d.Max)
	}
	must(t, other.Echo.Read(&d))
	if d.Count != 0 {
		t.Errorf("%d replies of another namespace", d.Count)
	}
}

func echoRequest(src, dst [4]byte, seq uint16) []byte {
	p := make([]byte, 28)
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_ICMP
	binary.BigEndian.PutUint16(p[2:], 28)
	copy(p[12:], src[:])
	copy(p[16:], dst[:])
	binary.BigEndian.PutUint16(p[10:], checksum(0, p[:20]))
	icmp := p[20:]
	icmp[0] = 8
	binary.BigEndian.PutUint16(icmp[4:], 4711)
	binary.BigEndian.PutUint16(icmp[6:], seq)
	binary.BigEndian.PutUint16(icmp[2:], checksum(0, icmp))
	return p
}

// flood sends datagrams through loopback until it is told to end: each raises NET_RX.
func flood(t *testing.T, end <-chan struct{}) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(fd)
	for {
		select {
		case <-end:
			return
		default:
			unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9})
		}
	}
}
