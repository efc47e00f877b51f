package unit

import (
	"math"
	"testing"
)

// FuzzParse reads any text as a limit of every unit: what is accepted can be compared with.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"200ms", "80%", "0.8", "64MiB", "-1", "1e308KiB", "NaN"} {
		f.Add(s, Seconds)
		f.Add(s, Bytes)
		f.Add(s, Ratio)
	}
	f.Fuzz(func(t *testing.T, word, unit string) {
		if v, err := Parse(word, unit); err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Errorf("limit %q of %q is %v", word, unit, v)
		}
	})
}
