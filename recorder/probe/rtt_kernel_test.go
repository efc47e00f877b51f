//go:build linux

package probe

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// average is what the kernel makes of round-trip samples: tcp_rtt_estimator of
// net/ipv4/tcp_input.c, in µs.
type average struct{ srtt, mdev int64 } // 8 times the mean, 4 times the mean deviation

func (a *average) add(m int64) {
	if a.srtt == 0 {
		a.srtt, a.mdev = m<<3, m<<1
		return
	}
	m -= a.srtt >> 3
	a.srtt += m
	if m >= 0 {
		m -= a.mdev >> 2
	} else if m = -m - a.mdev>>2; m > 0 {
		m >>= 3
	}
	a.mdev += m
}

// The samples are those that the kernel takes, each once and in its order: what the estimator
// makes of them is what tcp_info says at the end. Exchanges are small, of many segments, and
// late by less and by more than the retransmission timeout.
func TestRTTSamplesAreTheKernels(t *testing.T) {
	var s *Set
	c := converse(t, func(inode uint32) { s = armAll(t, Options{NetNS: inode, LateRTT: time.Microsecond}) })
	var kernel average
	samples, limited := 0, uint64(0)
	read := func() {
		_, err := s.Events.Read(func(e *Event) {
			if e.Kind == LateRTT {
				kernel.add(int64(e.Duration / time.Microsecond))
				samples++
			}
		})
		must(t, err)
		var counts [Kinds]EventCount
		s.Events.Counts(&counts)
		limited = counts[LateRTT].Limited
	}
	for _, exchange := range []struct {
		bytes int
		delay time.Duration
		times int
	}{{1, 0, 20}, {1, 75 * time.Millisecond, 1}, {1, 0, 10}, {40000, time.Millisecond, 3}, {1, 700 * time.Millisecond, 1}, {1, 0, 20}} {
		c.line.delay.Store(int64(exchange.delay))
		for range exchange.times {
			_, err := c.client.Write(make([]byte, exchange.bytes))
			must(t, err)
			_, err = io.ReadFull(c.client, make([]byte, exchange.bytes))
			must(t, err)
		}
		time.Sleep(300 * time.Millisecond) // its last ACKs come, and its events are under the limit
		read()
	}
	raw, err := c.client.(*net.TCPConn).SyscallConn()
	must(t, err)
	var info *unix.TCPInfo
	must(t, raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }))
	must(t, err)
	t.Logf("%d samples: mean %d µs, deviation %d; kernel %d, %d", samples, kernel.srtt>>3, kernel.mdev>>2, info.Rtt, info.Rttvar)
	if limited > 0 {
		t.Skipf("%d samples were not told: this machine makes too many at a time", limited)
	}
	// The kernel reads its clock after the program: by some ns, or by some µs where it is emulated. A
	// sample too many or too few would make more than a tenth of difference.
	if apart(kernel.srtt>>3, int64(info.Rtt)) > 20+int64(info.Rtt)/100 ||
		apart(kernel.mdev>>2, int64(info.Rttvar)) > 20+int64(info.Rttvar)/100 || samples < 50 {
		t.Errorf("%d samples average to %d µs, deviation %d; the kernel has %d, %d", samples, kernel.srtt>>3, kernel.mdev>>2, info.Rtt, info.Rttvar)
	}
}

func apart(a, b int64) int64 { return max(a-b, b-a) }
