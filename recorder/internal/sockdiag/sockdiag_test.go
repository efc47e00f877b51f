//go:build linux

package sockdiag

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

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
		err = Dump(Query{Family: unix.AF_INET, States: All, Detail: true}, func(s *Socket) bool {
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
		err := Dump(Query{Family: unix.AF_INET6, States: 1 << Listen}, func(*Socket) bool {
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
