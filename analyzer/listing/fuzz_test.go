package listing

import (
	"testing"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// FuzzWhich reads any text as the name of a flow: it is refused, or can be asked of a flow.
func FuzzWhich(f *testing.F) {
	for _, s := range []string{"17", "0", "192.0.2.7:41000-192.0.2.1:443", "[2001:db8::7]:41000-[2001:db8::1]:443", "-", "1-2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		meant, err := Which(text)
		if (meant == nil) != (err != nil) {
			t.Fatalf("%q: error %v", text, err)
		}
		if err == nil && meant(&flow.Flow{}) && text != "1" && text[0] != '0' && text[0] != '+' {
			t.Errorf("%q means a flow without ends", text)
		}
	})
}
