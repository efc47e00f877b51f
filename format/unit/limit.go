package unit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Format writes a vital's value in the notation of a trigger's limit, which Parse reads:
// 200ms, 80%, 64MiB, 250. Seconds are rounded to microseconds, ratios to four digits,
// bytes to a tenth of a MiB, others to six digits.
func Format(v float64, unit string) string {
	switch unit {
	case Seconds:
		return time.Duration(v * float64(time.Second)).Round(time.Microsecond).String()
	case Ratio:
		return strconv.FormatFloat(100*v, 'g', 4, 64) + "%"
	case Bytes:
		return strconv.FormatFloat(math.Round(10*v/(1<<20))/10, 'f', -1, 64) + "MiB"
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// Parse reads a trigger's limit for a vital of a unit, and gives it in that unit: a duration
// (200ms) for seconds, a percentage (80%) for a ratio, a size (64MiB) or a number for bytes,
// a plain number for others. 0 percent may be written 0.
func Parse(word, unit string) (float64, error) {
	switch {
	case unit == Seconds:
		// A plain number is refused: whether 0.2 or 200 is meant in seconds, nobody can tell.
		d, err := time.ParseDuration(word)
		if err != nil {
			return 0, fmt.Errorf("limit %q: want a duration such as 200ms", word)
		}
		return d.Seconds(), nil
	case strings.HasSuffix(word, "%"):
		if unit != Ratio {
			return 0, fmt.Errorf("limit %q: a percentage goes with a ratio, this vital counts in %q", word, unit)
		}
		v, err := ParseNumber(strings.TrimSuffix(word, "%"))
		return v / 100, err
	case unit == Bytes:
		return parseBytes(word)
	}
	v, err := ParseNumber(word)
	if err == nil && unit == Ratio && v != 0 {
		// 80 was taken for 8000 %, which no fill reaches.
		likely := v
		if v <= 1 {
			likely = 100 * v
		}
		return 0, fmt.Errorf("limit %q: want a percentage, did you mean %s?", word, Format(likely/100, Ratio))
	}
	return v, err
}

// ParseNumber reads a limit without a unit.
func ParseNumber(word string) (float64, error) {
	v, err := strconv.ParseFloat(word, 64)
	// No value lies beyond NaN or +Inf, and every one beyond -Inf: none of them is a limit.
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("limit %q: want a number", word)
	}
	return v, nil
}

// parseBytes reads a size that may lack its unit. No vital counts in TiB, and no limit was
// ever taken in them.
func parseBytes(word string) (float64, error) {
	scale := 1.0
	if m := meant(word); m != "" {
		return 0, fmt.Errorf("limit %q: want %s, as units count in 1024", word, m)
	}
	for _, p := range prefixes[:3] {
		if number, ok := strings.CutSuffix(word, p.suffix); ok {
			word, scale = number, float64(p.scale)
		}
	}
	v, err := ParseNumber(word)
	if math.IsInf(v*scale, 0) {
		return 0, fmt.Errorf("limit %q: want a size that fits", word)
	}
	return v * scale, err
}
