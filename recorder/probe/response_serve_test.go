//go:build linux

package probe

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Each gives one time for each pair of bounds, whatever happens to the answer behind its first byte.
var serveTimes = []struct {
	name  string
	again bool // the host may send again what is not acknowledged
	run   func(p *peer, l net.Listener) []between
}{
	{"it is acknowledged late", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		took := p.exchange(l)
		time.Sleep(late)
		p.send(flagACK, "")
		return []between{took}
	}},
	{"it is acknowledged by the next request", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		first := p.exchange(l)
		time.Sleep(late)
		second := p.exchange(l)
		p.send(flagACK, "")
		return []between{first, second}
	}},
	{"it is sent again", true, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		took := p.exchange(l)
		p.see()
		p.see()
		p.send(flagACK, "")
		return []between{took}
	}},
	{"nobody acknowledges it, the server closes", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		took := p.exchange(l)
		must(p.t, p.conn.Close())
		return []between{took}
	}},
	{"the client's reset acknowledges it", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		took := p.exchange(l)
		time.Sleep(late)
		p.send(flagRST|flagACK, "")
		return []between{took}
	}},
	{"it is acknowledged alone, and by the next request", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		var want []between
		for range 2 {
			want = append(want, p.exchange(l))
			p.send(flagACK, "")
			time.Sleep(late)
		}
		want = append(want, p.exchange(l), p.exchange(l))
		p.send(flagACK, "")
		return want
	}},
	{"the request comes in two pieces", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		asked := time.Now()
		p.send(flagACK, "ques")
		sent := time.Now()
		p.serves(l)
		time.Sleep(thought)
		p.send(flagACK, "tion")
		p.serves(l)
		p.answers("answer")
		_, _, seen := p.see()
		took := between{p.wrote.Sub(sent), seen.Sub(asked)}
		time.Sleep(late)
		p.send(flagACK, "")
		return []between{took}
	}},
	{"its pieces come in the wrong order", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		asked := time.Now()
		p.seq += 4
		p.send(flagACK, "tion")
		sent := time.Now()
		time.Sleep(thought)
		p.seq -= 8
		p.send(flagACK, "ques")
		p.seq += 4
		p.serves(l)
		p.answers("answer")
		_, _, seen := p.see()
		took := between{p.wrote.Sub(sent), seen.Sub(asked)}
		p.send(flagACK, "")
		return []between{took}
	}},
	{"nobody acknowledges it, the client half-closes and the server closes", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		unseen := p.ack
		took := p.exchange(l)
		p.ack = unseen
		p.send(flagFIN|flagACK, "")
		must(p.t, p.conn.Close())
		return []between{took}
	}},
	{"the client's FIN acknowledges it", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		took := p.exchange(l)
		time.Sleep(late)
		p.send(flagFIN|flagACK, "")
		must(p.t, p.conn.Close())
		return []between{took}
	}},
	{"the client half-closes, then the server answers and closes", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		asked := time.Now()
		p.send(flagACK, "question")
		p.send(flagFIN|flagACK, "")
		p.serves(l)
		p.answers("answer")
		_, _, seen := p.see()
		took := between{p.wrote.Sub(p.read), seen.Sub(asked)}
		must(p.t, p.conn.Close())
		return []between{took}
	}},
	{"nobody acknowledges it, the client resets", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		unseen := p.ack
		took := p.exchange(l)
		p.ack = unseen
		time.Sleep(late)
		p.send(flagRST|flagACK, "")
		return []between{took}
	}},
	{"the request comes with the handshake", false, func(p *peer, l net.Listener) []between {
		p.connect()
		took := p.exchange(l)
		time.Sleep(late)
		p.send(flagACK, "")
		return []between{took}
	}},
	{"the request comes with the handshake, the server closes", false, func(p *peer, l net.Listener) []between {
		p.connect()
		took := p.exchange(l)
		must(p.t, p.conn.Close())
		return []between{took}
	}},
	{"a banner is acknowledged before the request", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		var err error
		p.conn, err = l.Accept()
		must(p.t, err)
		_, err = p.conn.Write([]byte("banner"))
		must(p.t, err)
		p.see()
		p.send(flagACK, "")
		time.Sleep(late)
		took := p.exchange(l)
		p.send(flagACK, "")
		return []between{took}
	}},
	{"a banner is not acknowledged before the request", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		var err error
		p.conn, err = l.Accept()
		must(p.t, err)
		_, err = p.conn.Write([]byte("banner"))
		must(p.t, err)
		unseen := p.ack
		p.see()
		p.ack = unseen
		time.Sleep(late)
		took := p.exchange(l)
		p.send(flagACK, "")
		return []between{took}
	}},
	{"the request comes again after it", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		first := p.exchange(l)
		p.seq -= uint32(len("question"))
		p.send(flagACK, "question")
		time.Sleep(late) // and nobody waits
		second := p.exchange(l)
		p.send(flagACK, "")
		return []between{first, second}
	}},
	{"one is not acknowledged yet when the next request comes", false, func(p *peer, l net.Listener) []between {
		p.connect()
		p.send(flagACK, "")
		unseen := p.ack
		first := p.exchange(l)
		p.ack = unseen
		second := p.exchange(l)
		p.send(flagACK, "")
		return []between{first, second}
	}},
	// By its first byte it was answered; when, nobody knows.
	{"it is held back by a closed window", false, func(p *peer, l net.Listener) []between {
		p.closed = true
		p.connect()
		p.send(flagACK, "question")
		p.serves(l)
		p.answers("answer")
		time.Sleep(late)
		p.closed = false
		p.send(flagACK, "")
		p.see()
		second := p.exchange(l)
		p.send(flagACK, "")
		return []between{second}
	}},
}

// A serve time ends when the answer's first byte was sent, for the first time, whenever that is
// known: nobody but the acknowledgement, the next request or the end of the connection tells. An
// accepted socket is known by the length of its listener's queue, which may be 0.
func TestServeTimeIsOfTheFirstByte(t *testing.T) {
	for _, c := range serveTimes {
		t.Run(c.name, func(t *testing.T) { serveTime(t, c.again, 128, c.run) })
		t.Run(c.name+", backlog 0", func(t *testing.T) { serveTime(t, c.again, 0, c.run) })
	}
}

func serveTime(t *testing.T, again bool, backlog int, run func(*peer, net.Listener) []between) {
	ns := testns.New(t)
	s := open(t, &responseProbe, inode(t, ns))
	if s == nil {
		return
	}
	w := wire(t, ns, "10.9.0.1/24")
	var l net.Listener
	testns.Do(t, ns, func() {
		if !again {
			patient(t)
		}
		var err error
		l, err = net.Listen("tcp4", "10.9.0.1:80")
		must(t, err)
		raw, err := l.(*net.TCPListener).SyscallConn()
		must(t, err)
		must(t, raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), backlog) }))
		must(t, err)
	})
	t.Cleanup(func() { l.Close() })
	want := run(&peer{t: t, wire: w, port: 2000, hostPort: 80, seq: 1000}, l)
	checkTimes(t, &s.Response.await(t, uint64(len(want)), 0).Serve, want)
}
