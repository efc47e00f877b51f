//go:build linux

package vital

import (
	"math"
	"net"
	"testing"
	"time"

	"net/netip"

	"github.com/spikebox/spikebox/recorder/internal/nldump"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// told is what the probe of response times has told.
type told struct{ answers, asked, reads uint64 }

func (t *told) Answered() (answers, asked, reads uint64) { return t.answers, t.asked, t.reads }

// hushed is a reader whose sockets are found silent by found, and a time of its own.
type hushed struct {
	*silenceReader
	told
	t    *testing.T
	now  time.Time
	asks int
	each uint64 // asked in each tick
}

func newHushed(t *testing.T) *hushed {
	h := &hushed{t: t, now: time.Now()}
	h.silenceReader = &silenceReader{response: &h.told}
	h.pace = pace{every: silenceLook / 2, ask: func() error { h.asks++; h.found = 20; return nil }}
	if err := h.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.asks = 0
	return h
}

// ticks reads for some time, in each tick of which so many were answered, and gives the last values.
func (h *hushed) ticks(d time.Duration, answers uint64) (silence, clients float64) {
	h.t.Helper()
	var out [3]float64
	for end := h.now.Add(d); h.now.Before(end); {
		h.now = h.now.Add(250 * time.Millisecond)
		h.told = told{h.told.answers + answers, h.told.asked + h.each, h.told.reads + 1}
		unmeasured(out[:])
		if err := h.Read(h.now, out[:]); err != nil {
			h.t.Fatal(err)
		}
		for h.going && len(h.done) == 0 { // a look takes less than a tick
			time.Sleep(time.Millisecond)
		}
	}
	return out[0], out[1]
}

// A busy host that falls silent is looked into after 2 s, 4 s and so on, and one that is quiet by habit never.
func TestSilence(t *testing.T) {
	h := newHushed(t)
	if silence, clients := h.ticks(5*time.Second, 1); silence != 0 || clients != 0 || h.asks != 0 {
		t.Errorf("%v s of silence, %v silent, %d looks where there is an answer in each tick", silence, clients, h.asks)
	}
	if silence, clients := h.ticks(1750*time.Millisecond, 0); silence != 1.75 || clients != 0 || h.asks != 0 {
		t.Errorf("%v s of silence, %v silent, %d looks before 2 s", silence, clients, h.asks)
	}
	if silence, clients := h.ticks(500*time.Millisecond, 0); silence != 2.25 || clients != 20 || h.asks != 1 {
		t.Errorf("%v s of silence, %v silent, %d looks after 2 s", silence, clients, h.asks)
	}
	if _, _ = h.ticks(4*time.Second, 0); h.asks != 2 {
		t.Errorf("%d looks after 6 s, want two", h.asks)
	}
	if silence, _ := h.ticks(2*time.Minute, 0); silence != 60 || h.asks != 5 {
		t.Errorf("%v s of silence, %d looks after two minutes, want 60 and five", silence, h.asks)
	}
	if silence, clients := h.ticks(250*time.Millisecond, 1); silence != 0 || clients != 0 {
		t.Errorf("%v s of silence, %v silent when somebody is answered", silence, clients)
	}
	if _, clients := h.ticks(3*time.Second, 0); clients != 0 || h.asks != 5 {
		t.Errorf("%v silent, %d looks after a single answer", clients, h.asks)
	}
}

// What nobody measured is no silence.
func TestSilenceUnmeasured(t *testing.T) {
	h := newHushed(t)
	h.ticks(5*time.Second, 1)
	h.now = h.now.Add(time.Minute) // no tick
	if silence, clients := h.ticks(time.Second, 0); silence > 1 || clients > 0 {
		t.Errorf("%v s of silence, %v silent after a minute without ticks", silence, clients)
	}
	h.ticks(5*time.Second, 1)
	out := []float64{0, 0, 0}
	for range 20 { // the meter of response times is shed
		h.now = h.now.Add(250 * time.Millisecond)
		unmeasured(out)
		if err := h.Read(h.now, out); err != nil || !math.IsNaN(out[0]) {
			t.Fatalf("%v is measured (%v) where nobody reads response times", out, err)
		}
	}
	if silence, _ := h.ticks(time.Second, 0); silence != 1 {
		t.Errorf("%v s of silence a second after they are read again", silence)
	}
}

// The kernel's own word: who asked before and is silent since, by addresses, and nobody where one goes on to send.
func TestSilentClients(t *testing.T) {
	testns.Run(t, func() {
		service, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer service.Close()
		go func() {
			for {
				c, err := service.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					for b := make([]byte, 1); ; {
						if _, err := c.Read(b); err != nil {
							return
						}
						if b[0] == '?' {
							_, _ = c.Write(b)
						}
					}
				}()
			}
		}()
		var clients []net.Conn
		for i := range 8 {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/2))}} // two of each
			c, err := d.Dial("tcp", service.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			clients = append(clients, c)
		}
		// A silence began now, for all that these know; of one that has lasted an hour they know better.
		r, buf, who := &silenceReader{of: silenceSlack}, nldump.Buffer(), map[netip.Addr]bool{}
		deadline := time.Now().Add(time.Minute)
		for {
			for _, c := range clients {
				if _, err := c.Write([]byte("?")); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.look(buf, who); err != nil {
				t.Fatal(err)
			}
			if r.found == 4 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d addresses are silent, 4 are", r.found)
			}
		}
		r.of = time.Hour
		if err := r.look(buf, who); err != nil || r.found != 0 {
			t.Errorf("%d addresses are silent for an hour (%v), which asked within it", r.found, err)
		}
		r.of = silenceSlack
		time.Sleep(20 * time.Millisecond) // more than a jiffy, by which the kernel tells answer and question apart
		for _, c := range clients {
			if _, err := c.Write([]byte("!")); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.look(buf, who); err != nil || r.found != 0 {
			t.Errorf("%d addresses are silent (%v), which all wait for an answer", r.found, err)
		}
		for _, c := range clients {
			c.Close()
		}
		if err := r.look(buf, who); err != nil || r.found != 0 {
			t.Errorf("%d addresses are silent (%v), which have all taken leave", r.found, err)
		}
	})
}

// What comes while nobody is answered is counted from the last answer on.
func TestSilenceAsked(t *testing.T) {
	h := newHushed(t)
	h.each = 3
	h.ticks(2*time.Second, 1)
	if h.unheard != 0 {
		t.Errorf("%d were asked since the last answer where each tick has one", h.unheard)
	}
	if h.ticks(2*time.Second, 0); h.unheard != 24 {
		t.Errorf("%d were asked in 2 s without an answer, want 24", h.unheard)
	}
	if h.ticks(250*time.Millisecond, 1); h.unheard != 0 {
		t.Errorf("%d were asked since an answer", h.unheard)
	}
}
