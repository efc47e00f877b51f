package evidence

import (
	"errors"
	"net/netip"
	"testing"

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

// A member that was cut short ends with its last whole line.
func TestWholeLines(t *testing.T) {
	for text, want := range map[string]string{"a\nb\nc": "a\nb\n", "a\nb\n": "a\nb\n", "abc": "", "": ""} {
		if got := string(wholeLines([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// A hostile bundle of a million broken members is counted, not listed.
func TestPartialsAreBounded(t *testing.T) {
	var p Partials
	for range 57 {
		p.add("m", errors.New("broken"))
	}
	if len(p.List) != 50 || p.More != 7 {
		t.Errorf("%d listed and %d more, want 50 and 7", len(p.List), p.More)
	}
}
