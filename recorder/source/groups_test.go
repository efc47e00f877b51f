//go:build linux

package source

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A process that lets a hundred connections lie in CLOSE_WAIT is named at some of them,
// and one with a few is not looked for.
func TestLargeGroupsHaveOwners(t *testing.T) {
	testns.Run(t, func() {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		var kept []net.Conn
		defer func() {
			for _, c := range kept {
				c.Close()
			}
		}()
		for range groupLarge + 20 {
			c, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			s, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
			kept = append(kept, s)
		}
		var sink Sink // collected on this thread: only it is in the namespace
		if err := sockets.Collect(context.Background(), Env{Root: "/", At: member.AtEnd}, &sink); err != nil {
			t.Error(err)
			return
		}
		var text strings.Builder
		if _, err := sink.Members[0].WriteTo(&text); err != nil {
			t.Error(err)
		}
		waiting, owned := 0, 0
		for line := range strings.Lines(text.String()) {
			var s member.Socket
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
			if s.State != "CLOSE_WAIT" {
				continue
			}
			waiting++
			if len(s.Process) == 1 && s.Process[0].PID == os.Getpid() && s.Process[0].FDs > groupLarge && s.Process[0].FDLimit > 0 {
				owned++
			}
		}
		if waiting != groupLarge+20 || owned < 1 {
			t.Errorf("%d sockets in CLOSE_WAIT, %d with their process; want %d and at least one", waiting, owned, groupLarge+20)
		}
	})
}
