//go:build linux

package sockdiag

import (
	"maps"
	"net"
	"os"
	"testing"

	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/internal/vm"
)

func TestMain(m *testing.M) {
	vm.Init()
	os.Exit(m.Run())
}

func TestDumpFindsListenerAndConnection(t *testing.T) {
	testns.Run(t, func() {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		found := map[uint8]Socket{}
		err = Dump(Query{States: All, Detail: true}, func(s *Socket) bool {
			if s.Local.String() == l.Addr().String() {
				found[s.State] = *s
			}
			return true
		})
		if err != nil {
			t.Error(err)
		}
		listener := found[Listen]
		if listener.RecvQ != 1 || listener.SendQ == 0 || listener.Inode == 0 {
			t.Errorf("listener with one connection waiting: %+v", listener)
		}
		peer := found[Established]
		if peer.Remote.String() != c.LocalAddr().String() || len(peer.Info) < 100 || len(peer.SKMem) < 32 {
			t.Errorf("connection: %+v", peer)
		}
	})
}

// One dump has the sockets of both families, and listeners before all others, each once.
func TestDumpBothFamilies(t *testing.T) {
	testns.Run(t, func() {
		want := map[string]int{}
		for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
			l, err := net.Listen("tcp", at)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			want["listens on "+l.Addr().String()]++
			want[c.LocalAddr().String()+" to "+l.Addr().String()]++
			want[l.Addr().String()+" to "+c.LocalAddr().String()]++
		}
		got, connections := map[string]int{}, 0
		err := Dump(Query{States: All}, func(s *Socket) bool {
			if s.State != Listen {
				connections++
				got[s.Local.String()+" to "+s.Remote.String()]++
				return true
			}
			if got["listens on "+s.Local.String()]++; connections > 0 {
				t.Errorf("listener %v behind %d connections", s.Local, connections)
			}
			return true
		})
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%v, error %v; want %v", got, err, want)
		}
	})
}

func TestDumpStopsWhenTold(t *testing.T) {
	testns.Run(t, func() {
		for range 3 {
			l, err := net.Listen("tcp6", "[::1]:0")
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
		}
		calls := 0
		err := Dump(Query{States: 1 << Listen}, func(*Socket) bool {
			calls++
			return calls < 2
		})
		if err != nil || calls != 2 {
			t.Errorf("%d calls, error %v; want 2 calls", calls, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{2, 10, 0, 0})
	f.Add(append([]byte{2, 10}, make([]byte, 80)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Socket
		if s.decode(b) && len(s.Info) > len(b) { // must not panic or run out of its message
			t.Errorf("%d bytes of tcp_info in %d", len(s.Info), len(b))
		}
	})
}
