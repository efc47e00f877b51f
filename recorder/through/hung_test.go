package through

import (
	"testing"
	"time"
)

// wantHung compares what is told of questions without an answer.
func (w *wire) wantHung(story string, want int) {
	w.t.Helper()
	if got := w.tell().Hung; got != want {
		w.t.Errorf("%s: %d hung, want %d", story, got, want)
	}
}

// question lets some ask, whom the service's kernel acknowledges.
func (w *wire) question(seq uint32, some []string) {
	for _, c := range some {
		w.pass(1, seg{from: c, to: server, seq: seq, data: 100})
		w.after(time.Millisecond)
		w.pass(2, seg{from: server, to: c, seq: seq})
	}
}

// served lets all talk for longer than a service must be known.
func (w *wire) served() (seq uint32) {
	seq = w.talk(1)
	w.after(time.Duration(hungKnown))
	return w.talk(seq)
}

func TestHung(t *testing.T) {
	w := newWire(t)
	seq := w.served()
	w.question(seq, clients)
	w.after(900 * time.Millisecond)
	w.wantHung("for less than a second", 0)
	w.after(200 * time.Millisecond)
	w.wantHung("nobody is answered", len(clients))
	w.pass(2, seg{from: server, to: clients[0], seq: seq, data: 1000})
	w.wantHung("it answers somebody", 0)

	w = newWire(t)
	w.question(w.talk(1), clients)
	w.after(2 * time.Second)
	w.wantHung("a service that is hardly known", 0)

	w = newWire(t)
	w.served()
	for _, c := range clients { // window's updates, which want no answer
		w.pass(1, seg{from: c, to: server, seq: 1 << 16, data: 35})
	}
	w.after(time.Millisecond)
	other := "198.51.100.9:40009"
	w.pass(1, seg{from: other, to: server, seq: 1, data: 100})
	w.pass(2, seg{from: server, to: other, seq: 1, data: 100})
	w.after(time.Second)
	for _, c := range clients {
		w.pass(1, seg{from: c[:len(c)-1] + "9", to: server, seq: 1, data: 35})
	}
	w.after(2 * time.Second)
	w.wantHung("no more than were left so before", 0)

	w = newWire(t)
	seq = w.served()
	w.question(seq, clients)
	w.after(1500 * time.Millisecond)
	w.question(seq+100, clients)
	w.wantHung("they go on to send", 0)

	w = newWire(t)
	seq = w.served()
	w.question(seq, clients)
	w.after(4 * time.Second) // a report
	for _, c := range clients {
		w.pass(2, seg{from: server, to: c, seq: seq, data: 1000})
	}
	w.after(time.Second)
	w.question(seq+100, clients)
	w.after(7 * time.Second)
	w.wantHung("no longer than twice the longest of late", 0)
	w.after(2 * time.Second)
	w.wantHung("longer", len(clients))
}

// A host's own service of UDP is told of apart, by answers that leave and had not come.
func TestMute(t *testing.T) {
	const server = "192.0.2.1:53"
	w := newWire(t)
	client := func(i int) string {
		return []string{"198.51.100.7:41001", "198.51.100.7:41002", "198.51.100.8:41003", "198.51.100.9:41004"}[i]
	}
	in := func(i int) {
		s := seg{from: client(i), to: server, data: 40}
		w.in(1, s.ip(true), s.data)
	}
	in(0)
	w.after(time.Millisecond)
	answer := seg{from: server, to: client(0), data: 90}
	w.all.Add(&Packet{At: uint64(w.now), Link: 1, Out: true, IP: answer.ip(true), Wire: 118})
	w.after(time.Millisecond)
	for i := range 3 {
		in(1 + i)
	}
	w.after(1100 * time.Millisecond)
	if got := w.tell(); got.Mute != 3 || got.Unanswered != 0 {
		t.Errorf("%d wait for this host's own service, %d for another; want 3 and none", got.Mute, got.Unanswered)
	}
}
