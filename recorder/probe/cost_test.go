//go:build linux

package probe

import (
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// BenchmarkCost has 16 connections exchange one small message each per operation, with
// every probe armed, and reports what a run of each program takes, with the measuring
// itself: an empty program shows 70 ns on a virtual machine.
func BenchmarkCost(b *testing.B) {
	ns := testns.New(b)
	var st unix.Stat_t
	if err := unix.Fstat(int(ns), &st); err != nil {
		b.Fatal(err)
	}
	s := Open(Options{NetNS: uint32(st.Ino)})
	defer s.Close()
	measuring, err := TimeRuns()
	if err != nil {
		b.Fatal(err)
	}
	defer measuring.Close()
	var clients [16]net.Conn
	testns.Do(b, ns, func() {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		for i := range clients {
			clients[i], err = net.Dial("tcp4", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			server, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			go io.Copy(server, server)
		}
	})
	b.ResetTimer()
	var done sync.WaitGroup
	for _, c := range clients {
		done.Go(func() {
			buf := make([]byte, 64)
			for range b.N {
				c.Write(buf)
				io.ReadFull(c, buf)
			}
			c.Close()
		})
	}
	done.Wait()
	b.StopTimer()
	stats, err := s.stats()
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range stats {
		if p.runs > 0 {
			b.ReportMetric(float64(p.time)/float64(p.runs), "ns/"+p.program)
		}
	}
}

// BenchmarkTiming has softirqs timed and untimed again, which is done at a tick of the recorder.
func BenchmarkTiming(b *testing.B) {
	testns.New(b) // only for its gate
	s := Open(Options{})
	defer s.Close()
	if err := s.Refusal("softirq"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for _, on := range []bool{false, true} {
			if err := s.Softirqs.timing.set(s.Softirqs, on); err != nil {
				b.Fatal(err)
			}
		}
	}
}
