//go:build linux

package vital

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/nldump"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A client waits once its request is a second old, on a new connection as on one that was answered
// before. Who was answered, asks nothing, or was greeted, does not; neither does this host where it asks.
func TestServeWaiting(t *testing.T) {
	testns.Run(t, func() {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		talk := func(exchange ...string) {
			t.Helper()
			client, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { client.Close(); server.Close() })
			for _, who := range exchange {
				from, to := client, server
				if who == "server" {
					from, to = server, client
				}
				if _, err := from.Write([]byte(who)); err != nil {
					t.Fatal(err)
				}
				if _, err := to.Read(make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Millisecond) // jiffies apart, 10 ms at most
			}
		}
		talk()
		talk("server")
		talk("client", "server")
		talk("client")
		talk("client", "server", "client")

		r, buf := &waitingReader{ports: map[uint16]*manner{}, waits: waits{}}, nldump.Buffer()
		count := func() float64 {
			t.Helper()
			if err := r.count(buf); err != nil {
				t.Fatal(err)
			}
			return r.found[0]
		}
		count() // some time below a second, where nobody waits, unless the machine is slow
		deadline := time.Now().Add(8 * time.Second)
		for count() != 2 {
			if time.Now().After(deadline) {
				t.Fatalf("%v connections wait, 2 do", r.found)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// talked is a tcp_info: the last data went out and came in so many ms ago, and so many segments with data did.
func talked(sent, heard, in, out uint32) []byte {
	b := make([]byte, tcpInfoDataSegsOut+4)
	for offset, v := range map[int]uint32{tcpInfoLastDataSent: sent, tcpInfoLastDataRecv: heard, tcpInfoDataSegsIn: in, tcpInfoDataSegsOut: out} {
		native.PutUint32(b[offset:], v)
	}
	return b
}

// Who takes logs answers nobody: once that is known, its clients do not wait. One answer shows that it does answer.
func TestServeWaitingForNothing(t *testing.T) {
	var m manner
	for _, c := range []struct {
		info            []byte
		waiting, unsure int
		answers, silent bool
	}{
		{talked(1500, 900, 2, 0), 0, 0, false, false},
		{talked(1500, 1000, 2, 0), 0, 1, false, false},
		{talked(1500, 1500, 0, 0), 0, 1, false, false}, // nothing came yet
		{talked(1500, 1500, 1, 0), 0, 2, false, false},
		{talked(6000, 5500, 1, 0), 1, 2, false, false},
		{talked(2500, 900, 2, 0), 1, 2, false, true}, // what a second line shows
		{talked(60_000, 10_000, 5, 0), 1, 2, false, true},
		{talked(1500, 1500, 1, 1), 1, 2, true, true}, // answered within a jiffy
		{talked(1200, 1500, 1, 1), 1, 2, true, true},
		{talked(1500, 1200, 2, 1), 1, 3, true, true},
	} {
		m.look(time.Time{}, netip.Addr{}, c.info, false)
		if m.waiting != c.waiting || m.unsure != c.unsure || m.answers != c.answers || m.silent != c.silent {
			t.Errorf("%v: it is %+v, %+v wanted", c.info[tcpInfoLastDataSent:], m, c)
		}
	}
}

// port is looked at each second of a made-up time.
type port struct {
	manner
	waits     waits
	now       time.Time
	addresses int
	hang      int // at the last look
}

func newPort() *port {
	return &port{waits: waits{}, now: time.Unix(1_800_000_000, 0), addresses: 100}
}

func (p *port) see(connections ...[]byte) (n int) {
	p.now = p.now.Add(time.Second)
	for i, info := range connections {
		p.look(p.now, netip.AddrFrom4([4]byte{192, 0, 2, byte(i % p.addresses)}), info, p.waits.note(p.now, uint64(i), info))
	}
	p.waits.forget(p.now)
	n, p.hang, _ = p.count(p.now)
	return n
}

// many are so many connections alike.
func many(n int, info []byte) (all [][]byte) {
	for range n {
		all = append(all, info)
	}
	return all
}

// Long polls wait for half a minute and more. When all of them begin anew, as they do when their service is restarted, they are no
// news, and twice as many others are. An hour without them is forgotten.
func TestServeWaitingOfThePatient(t *testing.T) {
	p := newPort()
	wave := many(40, talked(4000, 2000, 5, 4))
	if n := p.see(wave...); n != 0 {
		t.Errorf("%d wait at a port that nobody knows", n)
	}
	p.now = p.now.Add(waitingPatient * time.Millisecond)
	if n := p.see(wave...); n != 40 {
		t.Errorf("%d wait of 40 that nobody knows", n)
	}
	p.see(many(25, talked(40_000, 35_000, 5, 4))...)
	if n := p.see(wave...); n != 0 {
		t.Errorf("%d wait of 40 where 25 do for longer than anybody whom an answer is due", n)
	}
	if n := p.see(many(60, wave[0])...); n != 60 {
		t.Errorf("%d wait of 60 where 25 are usual", n)
	}
	p.now = p.now.Add(time.Hour)
	if n := p.see(wave...); n != 40 {
		t.Errorf("%d wait of 40 where for an hour nobody was patient", n)
	}
}

// A client that sends on, a second after what was not answered, reports events. One that is answered, and asks again, waits, but for
// one that sends on again: that is a stream.
func TestServeWaitingOfWhoGoesOn(t *testing.T) {
	p := newPort()
	p.answers, p.since = true, p.now.Add(-time.Hour)
	for i, c := range []struct {
		info []byte
		want int
	}{
		{talked(9000, 1100, 3, 1), 1},
		{talked(10_000, 100, 4, 1), 0},
		{talked(11_000, 1100, 4, 1), 0},
		{talked(12_000, 2100, 4, 1), 0},
		{talked(500, 3100, 4, 2), 0}, // an answer
		{talked(1500, 100, 5, 2), 0}, // what comes after it is a question
		{talked(2500, 1100, 5, 2), 1},
		{talked(3500, 2100, 5, 2), 1},
		{talked(4500, 100, 6, 2), 0},
		{talked(500, 1100, 6, 3), 0},
		{talked(3500, 2100, 7, 3), 0},
	} {
		p.peaks = peaks{}
		if n := p.see(c.info); n != c.want {
			t.Errorf("look %d: %d wait, want %d", i, n, c.want)
		}
	}
}

// Sixty streams that begin at once, of which each client reports when it likes and the server speaks at times: none of them ever waits.
func TestServeWaitingOfStreams(t *testing.T) {
	p := newPort()
	for second := range 300 {
		var all [][]byte
		for i := range 60 {
			// A report each three seconds, and a word from the server each fifteen.
			s, reports := second+7*i%15, second/3+1
			spoke := s / 15
			heard, sent := second%3*1000+100, s%15*1000+500
			if spoke == 0 {
				sent = second*1000 + 150 // the handshake
			}
			all = append(all, talked(uint32(sent), uint32(heard), uint32(reports), uint32(spoke)))
		}
		if n := p.see(all...); n > 0 {
			t.Fatalf("%d of 60 streams wait after %d s", n, second)
		}
	}
}

// Where no segment came, nobody can have begun to wait, and the kernel's table is not walked for it.
func TestServeWaitingLooksAtNothing(t *testing.T) {
	testns.Run(t, func() {
		root := t.TempDir()
		came := func(segments int) {
			t.Helper()
			for name, text := range map[string]string{"snmp": fmt.Sprintf("Tcp: InSegs\nTcp: %d\n", segments), "netstat": "TcpExt: ListenDrops\nTcpExt: 0\n"} {
				if err := errors.Join(os.MkdirAll(root+"/proc/net", 0o755), os.WriteFile(root+"/proc/net/"+name, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
		}
		came(1000)
		reader, err := openWaiting(Env{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		r, now := reader.(*waitingReader), time.Now()
		if r.counters == nil {
			t.Fatal("nothing tells of segments")
		}
		looked := func() bool {
			t.Helper()
			now = now.Add(time.Minute)
			var out [2]float64
			for began := false; ; time.Sleep(time.Millisecond) {
				if err := reader.Read(now, out[:]); err != nil {
					t.Fatal(err)
				}
				if began = began || r.going; !r.going {
					return began
				}
			}
		}
		for range 3 { // what came before is not known
			looked()
		}
		if looked() {
			t.Error("looked where no segment came")
		}
		came(1000 + waitingFew - 1)
		if looked() {
			t.Errorf("looked where %d segments came", waitingFew-1)
		}
		came(1000 + waitingFew)
		if !looked() {
			t.Errorf("not looked where %d segments came", waitingFew)
		}
	})
}

// A port hangs where nobody was answered since those who wait asked. One user's page is one, a proxy's pool many.
func TestServeHung(t *testing.T) {
	p := newPort()
	wave := many(5, talked(3000, 1500, 5, 4))
	if p.see(wave...); p.hang != 0 {
		t.Errorf("%d hang where nothing tells who is answered", p.hang)
	}
	p.answered = p.now
	if p.see(wave...); p.hang != 0 {
		t.Errorf("%d hang who asked before the last answer", p.hang)
	}
	if p.see(wave...); p.hang != 0 {
		t.Errorf("%d hang at a port that is not known to answer yet", p.hang)
	}
	p.since = p.now.Add(-waitingPatient * time.Millisecond)
	if p.see(wave...); p.hang != 5 {
		t.Errorf("%d hang of five addresses", p.hang)
	}
	if p.see(many(5, talked(3000, 900, 5, 4))...); p.hang != 0 {
		t.Errorf("%d hang before a second is over", p.hang)
	}
	p.addresses = 1
	if p.see(many(6, wave[0])...); p.hang != 1 {
		t.Errorf("%d hang of one browser's six connections", p.hang)
	}
	if p.see(many(9, wave[0])...); p.hang != 9 {
		t.Errorf("%d hang of a proxy's nine connections", p.hang)
	}
	p.others.note(p.now, 5)
	if p.see(many(9, wave[0])...); p.hang != 0 {
		t.Errorf("%d hang where five wait while others are answered", p.hang)
	}
	p.others = peaks{}
	p.peaks.note(p.now, 5)
	if p.see(many(9, wave[0])...); p.hang != 0 {
		t.Errorf("%d hang where five long polls are usual", p.hang)
	}
}

// answers is what a probe of response times tells.
type answers struct {
	told
	ports map[uint16]bool
}

func (a *answers) TakeAnswered(port uint16) bool {
	answered := a.ports[port]
	delete(a.ports, port)
	return answered
}

// A port whose connections are each over with their answer is known to answer by what the kernel tells of it; while the probe is shed all may.
func TestServeHungTold(t *testing.T) {
	a := &answers{told{reads: 1}, map[uint16]bool{80: true}}
	r, now := &waitingReader{response: a, ports: map[uint16]*manner{80: {}, 81: {}}}, time.Unix(1_800_000_000, 0)
	r.listen(now)
	if m := r.ports[80]; !m.answers || m.answered != now || r.ports[81].answers || !r.ports[81].answered.IsZero() {
		t.Errorf("after an answer on port 80 it is %+v, and 81 %+v", m, r.ports[81])
	}
	a.reads++
	for range 4 { // the meter of response times may be read after this one
		r.listen(now.Add(time.Second))
	}
	if m := r.ports[80]; m.answered != now {
		t.Errorf("answered at %v, without an answer", m.answered)
	}
	now = now.Add(3 * time.Second)
	r.listen(now)
	if m := r.ports[80]; m.answered != now {
		t.Errorf("answered at %v, while the probe is not read", m.answered)
	}
}
