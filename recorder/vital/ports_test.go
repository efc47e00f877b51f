//go:build linux

package vital

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/nldump"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// The ports towards one destination are counted each second where all sockets together might use a good part of the
// range, and else every half minute, since each count walks the kernel's whole table.
func TestPortsAreCountedWhereTheyMayRunOut(t *testing.T) {
	testns.Run(t, func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		reader, err := openPorts(Env{Root: "/"})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		r, now := reader.(*portReader), time.Now()
		read := func() float64 {
			var out [1]float64
			if err := reader.Read(now, out[:]); err != nil {
				t.Fatal(err)
			}
			return out[0]
		}
		setRange(t, "1024 65535")
		now = now.Add(portsEvery)
		if all, err := r.sockets(); err != nil || all/r.ports() >= fewPorts {
			t.Skipf("the machine has too many sockets: %v for %v ports (%v)", all, r.ports(), err)
		}
		if read(); r.going {
			t.Error("counted while all sockets together would fill less than a sixteenth of the range")
		}
		if now = now.Add(portsRarely); read() != 0 || !r.going {
			t.Error("not counted for half a minute")
		}
		const conns, ports = 16, 64
		setRange(t, "40000 40063")
		for range conns {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		for end := time.Now().Add(30 * time.Second); r.going && time.Now().Before(end); time.Sleep(time.Millisecond) {
			read()
		}
		now = now.Add(portsRarely * 2 / 3)
		if read(); !r.going {
			t.Error("not counted after 20 s where all sockets together would fill half of the range")
		}
		// In this thread, which alone is in the namespace.
		if err := (&portReader{used: map[pair]int{}, first: r.first, last: r.last}).fills(conns / float64(ports)); err != nil {
			t.Error(err)
		}
	})
}

// A count that is dear is made again early where what has come since may be the rest of the range, and only there.
func TestPortsAreCountedInTime(t *testing.T) {
	testns.Run(t, func() {
		root := t.TempDir() // sockets are the whole machine's, where others come and go
		for name, text := range map[string]string{
			"proc/net/sockstat":                         "sockets: used 200\nTCP: inuse 10 orphan 0 tw 0 alloc 100 mem 1\n",
			"proc/sys/net/ipv4/ip_local_port_range":     "40000\t40063\n",
			"proc/sys/net/ipv4/ip_local_reserved_ports": "\n",
		} {
			if err := errors.Join(os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755), os.WriteFile(filepath.Join(root, name), []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		reader, err := openPorts(Env{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		r := reader.(*portReader)
		var out [1]float64
		now := r.began
		for _, c := range []struct {
			what    string
			fill    float64
			come    float64 // sockets
			after   time.Duration
			counted bool
		}{
			{"half full, and nothing came", 0.6, 0, 2 * time.Second, false},
			{"half full, and the rest may have come", 0.6, 20, 2 * time.Second, true},
			{"as much came, and before that was little", 0.2, 20, 2 * time.Second, false},
			{"little, and all of the rest may have come", 0.1, 60, 2 * time.Second, true},
			{"it has only just been counted", 0.6, 20, 100 * time.Millisecond, false},
			{"it is known to be full", 0.95, 20, 2 * time.Second, false},
		} {
			sockets, err := r.sockets()
			if err != nil {
				t.Fatal(err)
			}
			r.then = sockets - c.come
			r.going, r.fill, r.began = false, c.fill, now
			r.pace.last.cost = 5 * time.Millisecond // 1 s by pollShare, 5 s by countShare
			r.next = now.Add(5 * time.Second)
			if err := reader.Read(now.Add(c.after), out[:]); err != nil {
				t.Fatal(err)
			}
			if r.going != c.counted {
				t.Errorf("%s: counted again is %v, want %v", c.what, r.going, c.counted)
			}
			for r.going {
				if _, err := r.run(now.Add(c.after)); err != nil {
					t.Fatal(err)
				}
			}
			now = now.Add(time.Minute)
		}
	})
}

// fills counts, and says whether so much of the range is used.
func (r *portReader) fills(want float64) error {
	err := r.count(nldump.Buffer())
	if err == nil && r.filled() != want {
		err = fmt.Errorf("%v of the range are used, want %v", r.filled(), want)
	}
	return err
}

func setRange(t *testing.T, ports string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(ports), 0); err != nil {
		t.Fatal(err)
	}
}
