//go:build linux

package vital

import (
	"errors"
	"fmt"
	"net"
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

		r, buf := &waitingReader{ports: map[uint16]manner{}}, nldump.Buffer()
		count := func() float64 {
			t.Helper()
			if err := r.count(buf); err != nil {
				t.Fatal(err)
			}
			return r.found
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

// Who takes logs answers nobody: once that is known, its clients do not wait. One answer shows that it does answer.
func TestServeWaitingForNothing(t *testing.T) {
	info := func(sent, heard, in, out uint32) []byte {
		b := make([]byte, tcpInfoDataSegsOut+4)
		for offset, v := range map[int]uint32{tcpInfoLastDataSent: sent, tcpInfoLastDataRecv: heard, tcpInfoDataSegsIn: in, tcpInfoDataSegsOut: out} {
			native.PutUint32(b[offset:], v)
		}
		return b
	}
	var m manner
	for _, c := range []struct {
		info            []byte
		waiting         int
		answers, silent bool
	}{
		{info(1500, 900, 2, 0), 0, false, false},
		{info(1500, 1000, 2, 0), 1, false, false},
		{info(1500, 1500, 0, 0), 1, false, false}, // nothing came yet
		{info(1500, 1500, 1, 0), 2, false, false},
		{info(2500, 900, 2, 0), 2, false, true}, // what a second line shows
		{info(60_000, 10_000, 5, 0), 2, false, true},
		{info(1500, 1500, 1, 1), 2, true, true}, // answered within a jiffy
		{info(1200, 1500, 1, 1), 2, true, true},
		{info(1500, 1200, 2, 1), 3, true, true},
	} {
		m.look(c.info)
		if m.waiting != c.waiting || m.answers != c.answers || m.silent != c.silent {
			t.Errorf("%v: it is %+v, %+v wanted", c.info[tcpInfoLastDataSent:], m, c)
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
			var out [1]float64
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
