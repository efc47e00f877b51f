//go:build linux

package probe

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// conversation is one connection through a delay line; the client asks, a server
// answers at once.
type conversation struct {
	line   delayLine
	ns     netns.NsHandle // the client's
	client net.Conn
	dialed time.Duration // what connecting took
}

// converse connects after calling arm with the client's namespace.
func converse(t *testing.T, arm func(inode uint32)) *conversation {
	t.Helper()
	a, b := testns.New(t), testns.New(t)
	wa, wb := wire(t, a, "10.8.0.1/24"), wire(t, b, "10.8.0.2/24")
	c := &conversation{ns: a}
	go c.line.run(wa, wb)
	go c.line.run(wb, wa)
	arm(inode(t, a))
	var err error
	testns.Do(t, b, func() {
		l, err := net.Listen("tcp4", "10.8.0.2:80")
		must(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			if s, err := l.Accept(); err == nil {
				io.Copy(s, s)
				s.Close()
			}
		}()
	})
	testns.Do(t, a, func() {
		start := time.Now()
		c.client, err = net.Dial("tcp4", "10.8.0.2:80")
		must(t, err)
		c.dialed = time.Since(start)
	})
	t.Cleanup(func() { c.client.Close() })
	return c
}

// exchange asks once and returns how long the answer took.
func (c *conversation) exchange(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	_, err := c.client.Write([]byte("?"))
	must(t, err)
	_, err = io.ReadFull(c.client, make([]byte, 1))
	must(t, err)
	return time.Since(start)
}

// armRTT is an arm for converse.
func armRTT(t *testing.T, probe **RTT) func(uint32) {
	return func(inode uint32) { *probe = open(t, &rttProbe, inode).RTT }
}

func (r *RTT) read(t *testing.T) (samples, excess Histogram) {
	t.Helper()
	must(t, r.Read(&samples, &excess))
	return samples, excess
}

func TestRTTSampleOfOneDelayedExchange(t *testing.T) {
	// 150 ms is below the retransmission timeout, 700 ms each way is above it: the
	// segment is repeated, and the sample comes from the timestamp option (in ms).
	for _, delay := range []time.Duration{75 * time.Millisecond, 700 * time.Millisecond} {
		var probe *RTT
		c := converse(t, armRTT(t, &probe))
		slowest := c.dialed
		for range 50 {
			slowest = max(slowest, c.exchange(t))
		}
		before, _ := probe.read(t)
		if before.Count < 25 || before.Max > slowest+time.Millisecond {
			t.Errorf("before: %d samples up to %v; the slowest exchange took %v", before.Count, before.Max, slowest)
		}
		c.line.delay.Store(int64(delay))
		took := c.exchange(t)
		c.line.delay.Store(0)
		late, excess := probe.read(t)
		if late.Max < 2*delay-time.Millisecond || late.Max > took+time.Millisecond {
			t.Errorf("delayed by %v: sample %v, exchange took %v", 2*delay, late.Max, took)
		}
		if excess.Count != late.Count || excess.Max >= late.Max || excess.Max < late.Max-slowest {
			t.Errorf("sample %v of a connection whose slowest was %v: %d of %d above the minimum, by up to %v",
				late.Max, slowest, excess.Count, late.Count, excess.Max)
		}
		for range 20 {
			slowest = max(slowest, c.exchange(t))
		}
		if after, _ := probe.read(t); after.Max > slowest+time.Millisecond {
			t.Errorf("after: sample %v, the slowest exchange took %v", after.Max, slowest)
		}
	}
}

func TestRTTOfHandshake(t *testing.T) {
	var probe *RTT
	converse(t, armRTT(t, &probe))
	if h, excess := probe.read(t); h.Count != 1 || excess.Count != 0 {
		t.Errorf("%d samples after the handshake, %d above a minimum; want 1 and 0", h.Count, excess.Count)
	}
}

// TestRTTFirstSampleAfterHandshake has the server send its SYN-ACK twice, after which the
// handshake gives no sample (RFC 6298, section 3): the first one is that of its data.
func TestRTTFirstSampleAfterHandshake(t *testing.T) {
	const late = 200 * time.Millisecond
	client, server := [4]byte{10, 9, 0, 2}, [4]byte{10, 9, 0, 1}
	ns := testns.New(t)
	w := wire(t, ns, "10.9.0.1/24")
	var probe *RTT
	armRTT(t, &probe)(inode(t, ns))
	var l net.Listener
	testns.Do(t, ns, func() {
		var err error
		l, err = net.Listen("tcp4", "10.9.0.1:80")
		must(t, err)
	})
	t.Cleanup(func() { l.Close() })
	send := func(flags byte, seq, ack uint32) {
		_, err := w.Write(segmentAt(client, server, 2000, 80, flags, seq, ack))
		must(t, err)
	}
	send(flagSYN, 1000, 0)
	awaitSegment(t, w, flagSYN|flagACK)
	first := awaitSegment(t, w, flagSYN|flagACK) // the second time
	send(flagACK, 1001, first+1)
	conn, err := l.Accept()
	must(t, err)
	defer conn.Close()
	before, _ := probe.read(t)
	start := time.Now()
	_, err = conn.Write([]byte("!"))
	must(t, err)
	data := awaitSegment(t, w, flagACK)
	time.Sleep(late)
	send(flagACK, 1001, data+1)
	var h Histogram
	eventually(t, "the sample", func() bool { h, _ = probe.read(t); return h.Count > 0 })
	if took := time.Since(start); before.Count != 0 || h.Count != 1 || h.Max < late || h.Max > took {
		t.Errorf("%d samples before, then %d up to %v; want one of %v to %v", before.Count, h.Count, h.Max, late, took)
	}
}

// awaitSegment reads from the wire up to a segment with these flags, whatever PSH says, and
// returns its sequence number.
func awaitSegment(t *testing.T, w *os.File, flags byte) uint32 {
	t.Helper()
	buf := make([]byte, 65536)
	for {
		n, err := w.Read(buf)
		must(t, err)
		const psh = 0x08
		if n >= 40 && buf[0] == 0x45 && buf[9] == unix.IPPROTO_TCP && buf[33]&^psh == flags {
			return binary.BigEndian.Uint32(buf[24:])
		}
	}
}

func TestRTTReadAllocatesNothing(t *testing.T) {
	var probe *RTT
	converse(t, armRTT(t, &probe))
	var h, excess Histogram
	if n := testing.AllocsPerRun(10, func() { probe.Read(&h, &excess) }); n > 0 {
		t.Errorf("Read allocates %v times", n)
	}
}
