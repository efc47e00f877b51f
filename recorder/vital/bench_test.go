//go:build linux

package vital

import (
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// BenchmarkTick is what an armed recorder does four times a second, by meter.
func BenchmarkTick(b *testing.B) {
	env := Env{Root: "/"}
	for _, m := range Meters {
		for _, v := range m.Variants {
			r, err := v.Open(env)
			if err != nil {
				b.Logf("%s by %s: %v", m.ID, v.Name, err)
				continue
			}
			b.Run(m.ID+"/"+v.Name, func(b *testing.B) {
				out := make([]float64, len(m.Vitals))
				b.ReportAllocs()
				for b.Loop() {
					if err := r.Read(time.Now(), out); err != nil {
						b.Fatal(err)
					}
				}
			})
			r.Close()
		}
	}
}

// BenchmarkBoard is a whole tick beside connections that stay open, of which
// SPIKEBOX_BENCH_CONNECTIONS says how many: each is two sockets of this namespace, and two open
// files. Ticks come at their own pace, four a second, since what was read 250 ms ago is no longer
// in the CPU's caches. It reports the longest tick, too: one that counts sockets must not be it.
func BenchmarkBoard(b *testing.B) {
	n, _ := strconv.Atoi(os.Getenv("SPIKEBOX_BENCH_CONNECTIONS"))
	defer connections(b, n)()
	board := Open(Env{Root: "/"}, testns.Log(func(line string) { b.Log(line) }))
	defer board.Close()
	var longest time.Duration
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		time.Sleep(250 * time.Millisecond)
		b.StartTimer()
		start := time.Now()
		board.Read(start)
		longest = max(longest, time.Since(start))
	}
	b.ReportMetric(longest.Seconds()*1e3, "ms/longest")
}

// connections opens so many over loopback; the returned function closes them.
func connections(b *testing.B, n int) (closeAll func()) {
	// 10,000 of each client address: ports of one towards one listener run out at 28,232.
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var all []net.Conn
	for i := range n {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/10_000))}}
		c, err := d.Dial("tcp4", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, c, s)
	}
	return func() {
		l.Close()
		for _, c := range all {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}
}
