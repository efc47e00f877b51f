package evidence

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/spikebox/spikebox/format/member"
)

// A listener bound to one address goes before one bound to all, and the trigger's reading
// before the end's, whatever their order.
func TestListener(t *testing.T) {
	socket := func(at, local string) member.Socket {
		return member.Socket{At: at, State: member.StateListen, Local: netip.MustParseAddr(local), LocalPort: 80}
	}
	any := func(*member.Socket) bool { return true }
	e := Evidence{Sockets: []member.Socket{{State: "ESTAB", At: member.AtTrigger, Local: netip.MustParseAddr("192.0.2.1")}}}
	if l := e.Listener(any); l != nil {
		t.Errorf("%+v listens", l)
	}
	// Each goes before those listed above it, and stands behind them.
	for _, s := range []member.Socket{socket(member.AtEnd, "0.0.0.0"), socket(member.AtTrigger, "0.0.0.0"), socket(member.AtEnd, "192.0.2.1"), socket(member.AtTrigger, "192.0.2.1")} {
		e.Sockets = append(e.Sockets, s)
		if l := e.Listener(any); l != &e.Sockets[len(e.Sockets)-1] {
			t.Errorf("%s %s does not go before the others: %+v does", s.At, s.Local, l)
		}
	}
}

// A text that is longer than any kernel's ends with a whole line, and one that is damaged gives
// nothing.
func TestWhole(t *testing.T) {
	var e Evidence
	long := strings.Repeat("word\n", longestDocument/5+9)
	text, err := e.whole(strings.NewReader(long))
	if err == nil || len(text) > longestDocument || !bytes.HasSuffix(text, []byte("word\n")) {
		t.Errorf("%d bytes, error %v", len(text), err)
	}
	broken := errors.New("broken")
	if text, err := e.whole(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken))); text != nil || !errors.Is(err, broken) {
		t.Errorf("%q, error %v", text, err)
	}
}

// A hostile bundle of a million broken members is counted, not listed.
func TestPartialsAreBounded(t *testing.T) {
	var p Partials
	for range 57 {
		p.Add("m", errors.New("broken"))
	}
	if len(p.List) != 50 || p.More != 7 {
		t.Errorf("%d listed and %d more, want 50 and 7", len(p.List), p.More)
	}
}
