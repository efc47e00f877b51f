package trigger

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Two days have not room for every kind: those of which hardly one fits in happen here each hour, on hosts of
// four loads. Of forty attacks of bots one fires, as in weeks.txt; of the others that hurt nobody none.
func TestKindsAlone(t *testing.T) {
	for _, name := range []string{"upstream restarted", "pause of a UDP service", "bots that are turned away", "UDP service stopped", "upstream breaks off"} {
		k := kinds[slices.IndexFunc(kinds, func(k *kind) bool { return k.name == name })]
		fired := 0
		for seed := range 4 {
			w := &week{host: newHost(seed), calls: rand.New(rand.NewPCG(uint64(seed), 1)), span: 12 * time.Hour}
			w.set = w.arm()
			for hour := 2; hour < 12; hour++ {
				start := time.Duration(hour) * time.Hour
				w.events = append(w.events, &event{kind: k, start: start, end: start + k.least, size: w.random.Float64()})
			}
			w.run()
			for _, e := range w.events {
				if fires := e.bundles > 0; fires && name == "bots that are turned away" && fired == 0 {
					fired++
				} else if fires != k.hurts {
					t.Errorf("%s at hour %v of host %d, of size %.2f: %d bundles", name, e.start, seed, e.size, e.bundles)
				}
			}
			if w.quiet > 0 {
				t.Errorf("%s: %d bundles while nothing happened", name, w.quiet)
			}
		}
	}
}
