//go:build linux

package recorder

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/vital"
)

// Calibration is what a vital did while it was watched, and the limit that follows.
type Calibration struct {
	vital.Vital
	Ticks         int // at which it was measured
	P50, P99, Max float64
	// Limit is three times the largest value seen, and not below what is worth waking
	// anybody for; NaN where nothing was measured.
	Limit float64
}

// headroom is how far above the largest value of a calm time a limit lies: below three
// times, the ordinary peaks of a day would fire.
const headroom = 3

// worthwhile is the least limit that is proposed, by unit, or by name where the unit's
// would be wrong. A rate may stay at 0: on a healthy host those counters stand still.
var worthwhile = map[string]float64{
	"s": 0.010, "1": 50, "1/s": 0, "ratio": 0.25, "B": 64 << 20,
	"retrans.ratio": 0.05, // TCP is slow from 1 or 2 % on
}

// Calibrate watches the vitals for a while, records no packets, and proposes limits.
func Calibrate(ctx context.Context, root string, span time.Duration, log func(string)) []Calibration {
	probes := openProbes(probe.Options{NetNS: host.NetNS()}, log)
	defer probes.Close()
	board := vital.Open(vital.Env{Root: root, Probes: probes}, log)
	defer board.Close()
	seen := map[string][]float64{} // by vital
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	for tick := time.NewTicker(Tick); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return calibrations(board.Columns(), seen)
		case now := <-tick.C:
			board.Read(now)
			for _, c := range board.Columns() {
				if !math.IsNaN(c.Value) {
					seen[c.Name] = append(seen[c.Name], c.Value)
				}
			}
		}
	}
}

func calibrations(columns []vital.Column, seen map[string][]float64) (all []Calibration) {
	for _, c := range columns {
		all = append(all, calibrate(c.Vital, seen[c.Name]))
	}
	return all
}

func calibrate(v vital.Vital, values []float64) Calibration {
	c := Calibration{Vital: v, Ticks: len(values), P50: math.NaN(), P99: math.NaN(), Max: math.NaN(), Limit: math.NaN()}
	if c.Ticks == 0 {
		return c
	}
	slices.Sort(values)
	c.P50, c.P99, c.Max = values[c.Ticks/2], values[c.Ticks*99/100], values[c.Ticks-1]
	least, ok := worthwhile[v.Name]
	if !ok {
		least = worthwhile[v.Unit]
	}
	c.Limit = roundUp(max(headroom*c.Max, least), v.Unit)
	if v.Unit == "ratio" && c.Max < 1 {
		c.Limit = min(c.Limit, (1+c.Max)/2) // three times 60 % is no limit at all
	}
	return c
}

// roundUp gives the next number with two digits, which people can remember: whole ones
// for what is counted, MiB for bytes.
func roundUp(v float64, unit string) float64 {
	switch {
	case v <= 0:
		return 0
	case unit == "B":
		return roundUp(v/(1<<20), "1") * (1 << 20)
	case v < 10 && unit != "s" && unit != "ratio":
		return math.Ceil(v)
	}
	scale := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Ceil(v/scale-1e-9) * scale
}

// Expr is the trigger that the limit makes, in the notation of package trigger; empty
// where nothing was measured.
func (c *Calibration) Expr() string {
	if math.IsNaN(c.Limit) {
		return ""
	}
	return c.Name + " > " + unit.Format(c.Limit, c.Unit)
}
