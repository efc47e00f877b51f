package unit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// prefix is a binary prefix with its unit (IEC 80000-13).
type prefix struct {
	suffix string
	scale  int64 // bytes
}

// prefixes are what sizes are read with, in ascending order.
var prefixes = []prefix{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// Size writes a number of bytes for people, with one digit behind the point: 12.3 MiB.
func Size(n int64) string {
	at := prefix{"B", 1}
	for _, p := range prefixes[:3] { // from 1 GiB on in GiB: no bundle is larger than some of them
		if n >= p.scale {
			at = p
		}
	}
	if at.scale == 1 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", float64(n)/float64(at.scale), at.suffix)
}

// ShortSize is Size in at most seven characters, the width of a table's column, up to
// 10,000 GiB: 12.3M.
func ShortSize(n int64) string {
	return strings.ReplaceAll(strings.TrimSuffix(Size(n), "iB"), " ", "")
}

// ParseSize reads the value of a flag in bytes: 64MiB, 2GiB, 0.5KiB, 1000B. A number
// without a unit is refused, as it might be meant in any.
func ParseSize(s string) (int64, error) {
	if m := meant(s); m != "" {
		return 0, fmt.Errorf("size %q: want %s, as units count in 1024", s, m)
	}
	// B comes last, because all the others end in it.
	for _, u := range append(prefixes[:len(prefixes):len(prefixes)], prefix{"B", 1}) {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		// Half of what fits: sums of two sizes do not overflow.
		if err != nil || !(v >= 0) || v*float64(u.scale) > math.MaxInt64/2 {
			return 0, fmt.Errorf("size %q: want a number before %s", s, u.suffix)
		}
		return int64(v * float64(u.scale)), nil
	}
	return 0, fmt.Errorf("size %q: want a unit, such as 64MiB", s)
}

// meant gives what a size in another spelling of its unit was meant to be: 64MB, 64M and 64mib
// are 64MiB; "" where it is none. MB is refused and not taken for 10^6 bytes, as it is
// meant in both ways.
func meant(s string) string {
	number := strings.TrimRight(s, "kKmMgGtTiIbB")
	for _, p := range prefixes {
		for _, spelling := range []string{p.suffix, p.suffix[:1] + "B", p.suffix[:1]} {
			if _, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil && s != number+p.suffix && strings.EqualFold(s[len(number):], spelling) {
				return number + p.suffix
			}
		}
	}
	return ""
}

// FormatSize writes what ParseSize reads, exactly: in the largest unit that leaves a whole
// number.
func FormatSize(n int64) string {
	for i := len(prefixes) - 1; i >= 0; i-- {
		if u := prefixes[i]; n >= u.scale && n%u.scale == 0 {
			return strconv.FormatInt(n/u.scale, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// ParseShare reads the value of a flag that takes a part of a whole: 10%. 1 is all of it.
func ParseShare(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("share %q: want a percentage such as 10%%", s)
	}
	return v / 100, nil
}

// FormatShare writes what ParseShare reads.
func FormatShare(share float64) string { return strconv.FormatFloat(100*share, 'g', -1, 64) + "%" }
