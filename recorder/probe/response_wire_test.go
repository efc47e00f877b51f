//go:build linux

package probe

import (
	"encoding/binary"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// peer is the other end of the host's connections, played by the test on a wire: what it sees
// there and when is what a capture would have.
type peer struct {
	t        *testing.T
	wire     *os.File
	port     uint16 // its own
	hostPort uint16
	seq, ack uint32 // of what it sends next
	closed   bool   // its window
	conn     net.Conn
	read     time.Time // when the host's program had read what was asked
	wrote    time.Time // just before it answered
}

var peerAddr, hostAddr = [4]byte{10, 9, 0, 2}, [4]byte{10, 9, 0, 1}

func (p *peer) send(flags byte, data string) {
	p.t.Helper()
	packet := segmentAt(peerAddr, hostAddr, p.port, p.hostPort, flags, p.seq, p.ack, []byte(data)...)
	if p.closed {
		packet = withoutWindow(packet)
	}
	_, err := p.wire.Write(packet)
	must(p.t, err)
	p.seq += uint32(len(data))
	if flags&(flagSYN|flagFIN) != 0 {
		p.seq++
	}
}

// see gives the next segment of the host that has data, or a SYN or RST, and when it came; what
// it has is acknowledged by what is sent next.
func (p *peer) see() (flags byte, data string, at time.Time) {
	p.t.Helper()
	buf := make([]byte, 65536)
	for {
		n, err := p.wire.Read(buf)
		must(p.t, err)
		if n < 40 || buf[0] != 0x45 || buf[9] != unix.IPPROTO_TCP {
			continue
		}
		at, tcp := time.Now(), buf[20:n]
		flags, data = tcp[13], string(tcp[tcp[12]>>4*4:])
		if seq := binary.BigEndian.Uint32(tcp[4:]); data != "" || flags&(flagSYN|flagRST) != 0 {
			p.hostPort = binary.BigEndian.Uint16(tcp)
			p.port = binary.BigEndian.Uint16(tcp[2:])
			p.ack = seq + uint32(len(data)) + uint32(flags&flagSYN/flagSYN)
			return flags, data, at
		}
	}
}

// connect is as far as the host's SYN-ACK.
func (p *peer) connect() {
	p.send(flagSYN, "")
	p.see()
}

// serves has the host's program read what was asked.
func (p *peer) serves(l net.Listener) {
	p.t.Helper()
	var err error
	if p.conn == nil {
		p.conn, err = l.Accept()
		must(p.t, err)
		p.t.Cleanup(func() { p.conn.Close() })
	}
	_, err = p.conn.Read(make([]byte, 100))
	must(p.t, err)
	p.read = time.Now()
}

// answers has it answer after it has thought.
func (p *peer) answers(data string) {
	p.t.Helper()
	time.Sleep(thought)
	p.wrote = time.Now()
	_, err := p.conn.Write([]byte(data))
	must(p.t, err)
}

const (
	thought = 20 * time.Millisecond
	// late is long beside thought: what is measured up to there is measured wrongly.
	late = 300 * time.Millisecond
)

// between are the bounds of a time, by what its two ends can be at the most and at the least.
type between struct{ low, high time.Duration }

// exchange asks once, and is answered; it gives the bounds of the time that it took.
func (p *peer) exchange(l net.Listener) between {
	asked := time.Now()
	p.send(flagACK, "question")
	p.serves(l)
	p.answers("answer")
	_, _, seen := p.see()
	return between{p.wrote.Sub(p.read), seen.Sub(asked)}
}

// patient has the host wait for an acknowledgement for as long as a busy machine may take.
func patient(t *testing.T) {
	link, err := netlink.LinkByName("wire")
	must(t, err)
	routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
	must(t, err)
	for _, r := range routes {
		r.RtoMin, r.RtoMinLock = 60_000, true
		must(t, netlink.RouteReplace(&r))
	}
}

// withoutWindow closes the window in a segment, in a way that keeps its sum.
func withoutWindow(packet []byte) []byte {
	tcp := packet[20:]
	sum := binary.BigEndian.Uint16(tcp[16:])
	// 65535 is the other zero of the sum (RFC 1071).
	binary.BigEndian.PutUint16(tcp[14:], 0)
	binary.BigEndian.PutUint16(tcp[16:], sum)
	return packet
}

// checkTimes expects a time within each of these bounds; a bucket is an eighth wide.
func checkTimes(t *testing.T, h *Histogram, want []between) {
	t.Helper()
	var least, most between
	for i, b := range want {
		if i == 0 || b.low < least.low {
			least = b
		}
		if b.high > most.high {
			most = b
		}
	}
	if h.Count != uint64(len(want)) || h.Quantile(0) < least.low*7/8 || h.Max > most.high {
		t.Errorf("%d times from %v to %v, want %d within %v", h.Count, h.Quantile(0), h.Max, len(want), want)
	}
}

// An upstream time begins when the request's first byte was sent, and is measured once, whether an ACK
// alone comes before the answer, the answer acknowledges it, or nothing does.
func TestUpstreamTimeIsOfTheFirstByte(t *testing.T) {
	for _, first := range []string{"the answer comes first", "an ACK comes first", "nothing acknowledges it"} {
		t.Run(first, func(t *testing.T) {
			ns := testns.New(t)
			s := open(t, &responseProbe, inode(t, ns))
			if s == nil {
				return
			}
			p := &peer{t: t, wire: wire(t, ns, "10.9.0.1/24"), seq: 5000}
			dialed := make(chan net.Conn)
			testns.Do(t, ns, func() {
				patient(t)
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				must(t, err)
				go func() {
					err := unix.Connect(fd, &unix.SockaddrInet4{Addr: peerAddr, Port: 80})
					f := os.NewFile(uintptr(fd), "")
					c, _ := net.FileConn(f)
					f.Close()
					if err != nil {
						t.Error(err)
					}
					dialed <- c
				}()
			})
			p.see()
			p.send(flagSYN|flagACK, "")
			c := <-dialed
			defer c.Close()
			var want []between
			for range 3 {
				asked, unseen := time.Now(), p.ack
				_, err := c.Write([]byte("question"))
				must(t, err)
				_, _, seen := p.see()
				if first == "nothing acknowledges it" {
					p.ack = unseen
				}
				if first == "an ACK comes first" {
					p.send(flagACK, "")
				}
				time.Sleep(thought)
				answered := time.Now()
				p.send(flagACK, "answer")
				p.send(flagACK, "more") // which is no second one
				_, err = c.Read(make([]byte, 6))
				must(t, err)
				want = append(want, between{answered.Sub(seen), time.Since(asked)})
				_, err = c.Read(make([]byte, 6))
				must(t, err)
				time.Sleep(late) // a user who reads
			}
			checkTimes(t, &s.Response.await(t, 0, uint64(len(want))).Upstream, want)
		})
	}
}
