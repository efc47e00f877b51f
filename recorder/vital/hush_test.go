//go:build linux

package vital

import (
	"testing"
	"time"
)

// Answers are missing where fewer go than came before for as many that come, and not where none ever went.
func TestHush(t *testing.T) {
	for _, c := range []struct {
		story     string
		in, out   uint64 // a tick, before
		then, say uint64 // and from then on
		want      bool
	}{
		{"all is answered", 10, 10, 10, 10, false},
		{"nobody is", 10, 10, 10, 0, true},
		{"a few are not", 10, 10, 10, 9, true}, // eight in two seconds: the packets tell
		{"they ask less", 10, 10, 2, 2, false},
		{"they ask more, and are answered", 10, 10, 40, 40, false},
		{"a log that never answers", 10, 0, 50, 0, false},
		{"a tunnel begins, whose datagrams are not counted as they go", 0, 0, 100, 0, false},
		{"a sender of metrics, which hears nothing", 0, 100, 0, 10, false},
		{"a sender beside a service hides it", 10, 110, 10, 100, false},
	} {
		var h hush
		d := datagrams{at: time.Now()}
		tick := func(in, out uint64) bool {
			d.at, d.in, d.out = d.at.Add(250*time.Millisecond), d.in+in, d.out+out
			return h.add(d)
		}
		for i := range 60 {
			if tick(c.in, c.out) {
				t.Fatalf("%s: it hushed in tick %d, before", c.story, i)
			}
		}
		got := false
		for range 8 {
			got = tick(c.then, c.say)
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.story, got, c.want)
		}
	}
}
