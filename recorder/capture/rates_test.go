//go:build linux

package capture

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// BenchmarkRates sends the segments of 64 connections at four rates while nothing, either ring, tcpdump and dumpcap capture them,
// in turns, and prints for each rate medians of the CPU time a packet, of the capturing process and of the kernel beyond what it takes
// with nobody there; and of the rings, how far back the default of 64 MiB reaches, and how many bytes a packet takes packed. Rings are
// full before it is measured, so that packing is in it where the ring alone does not reach back 40 s. What is not installed is left out, and said.
func BenchmarkRates(b *testing.B) {
	for _, rate := range []int{10_000, 50_000, 100_000, 150_000} {
		b.Run(fmt.Sprintf("%dk", rate/1000), func(b *testing.B) { benchRate(b, rate) })
	}
}

func benchRate(b *testing.B, rate int) {
	from, to := testns.Pair(b)
	w := openWire(b, from.NS, from.Link)
	dir, err := os.MkdirTemp("/dev/shm", "spikebox-bench-")
	if err != nil {
		dir = b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	costs := map[string][]cost{}
	said := map[string]string{}
	some := installed(b)
	for b.Loop() {
		base := cost{}
		for _, r := range some {
			pid, stop := r.start(b, to, dir, rate)
			frames := newSegments()
			if room := DefaultBytes / tapBytes; rate*40 > room {
				paced(b, w, frames, room, 0)
			}
			before := runTime(b, pid)
			n := 2 * rate
			kernel := paced(b, w, frames, n, rate)
			c := cost{kernel: float64(kernel) / float64(n), user: float64(runTime(b, pid)-before) / float64(n)}
			said[r.name] = stop()
			b.Logf("%-8s process %6.1f ns/packet, sender and softirqs %6.0f ns/packet%s", r.name, c.user, c.kernel, said[r.name])
			if r.args == nil {
				base = c
			}
			c.kernel -= base.kernel
			costs[r.name] = append(costs[r.name], c)
		}
	}
	b.ReportMetric(0, "ns/op") // of a whole turn: says nothing
	for _, r := range some[1:] {
		c := middle(costs[r.name])
		b.ReportMetric(c.user, r.name+"-process-ns/packet")
		b.ReportMetric(c.kernel, r.name+"-kernel-ns/packet")
		var reach float64
		var packed, bytes int
		if _, at, ok := strings.Cut(said[r.name], " reach "); ok {
			fmt.Sscanf(at, "%f packed %d bytes %d", &reach, &packed, &bytes)
			b.ReportMetric(reach, r.name+"-reach-s")
		}
		if packed > 0 {
			b.ReportMetric(float64(bytes)/float64(packed), r.name+"-packed-B/packet")
		}
	}
}

// segments are frames of connections that send in turn, and whose other sides are not heard.
type segments struct {
	frames [64][]byte
	n      uint32
}

func newSegments() *segments {
	s := &segments{}
	for i := range s.frames {
		f := join(eth(0x0800), ip4(6, 0, 0), tcp(32), payload(62))
		binary.BigEndian.PutUint16(f[16:], uint16(len(f)-14))
		binary.BigEndian.PutUint16(f[34:], uint16(30000+i))
		copy(f[54:], []byte{1, 1, 8, 10})
		s.frames[i] = f
	}
	return s
}

// next is the next segment, valid until its connection's turn comes again.
func (s *segments) next() []byte {
	f := s.frames[s.n%uint32(len(s.frames))]
	s.n++
	binary.BigEndian.PutUint16(f[18:], binary.BigEndian.Uint16(f[18:])+1) // identification
	binary.BigEndian.PutUint16(f[24:], 0)
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(f[i:]))
	}
	binary.BigEndian.PutUint16(f[24:], ^uint16(sum>>16+sum&0xffff))
	binary.BigEndian.PutUint32(f[38:], binary.BigEndian.Uint32(f[38:])+62)  // sequence number
	binary.BigEndian.PutUint32(f[42:], binary.BigEndian.Uint32(f[42:])+200) // acknowledges an answer of 200 bytes
	binary.BigEndian.PutUint32(f[58:], s.n/100)                             // timestamp
	return f
}

// paced sends n frames at a rate, 0: as fast as one CPU can, and returns the CPU time that it took there.
func paced(b *testing.B, w *wire, s *segments, n, rate int) (ns int64) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its CPU mask
		var set unix.CPUSet
		set.Set(0)
		err := unix.SchedSetaffinity(0, &set)
		before := threadTime(b, "/proc/thread-self") + softirqTime(b)
		begin := time.Now()
		const burst = 50
		for i := 0; i < n && err == nil; i++ {
			if rate > 0 && i%burst == 0 {
				time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			}
			err = w.send(s.next())
		}
		ns = threadTime(b, "/proc/thread-self") + softirqTime(b) - before
		done <- err
	}()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return ns
}
