package cli

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// Bytes is a flag that takes a size with a unit: 64MiB, 2GiB, 512KiB, 1000B.
type Bytes int64

var byteUnits = []struct {
	suffix string
	scale  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}}

// Set reads the flag's value.
func (b *Bytes) Set(s string) error {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(v >= 0) || v*float64(u.scale) > math.MaxInt64/2 {
			return fmt.Errorf("size %q: want a number before %s", s, u.suffix)
		}
		*b = Bytes(v * float64(u.scale))
		return nil
	}
	return fmt.Errorf("size %q: want a unit, such as 64MiB", s)
}

func (b *Bytes) String() string {
	for i := len(byteUnits) - 2; i >= 0; i-- {
		if u := byteUnits[i]; int64(*b) >= u.scale && int64(*b)%u.scale == 0 {
			return strconv.FormatInt(int64(*b)/u.scale, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(*b), 10) + "B"
}

// Type names the value in help pages.
func (b *Bytes) Type() string { return "size" }

// Percent is a flag that takes a share: 10%.
type Percent float64

// Set reads the flag's value.
func (p *Percent) Set(s string) error {
	number, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("share %q: want a percentage such as 10%%", s)
	}
	*p = Percent(v / 100)
	return nil
}

func (p *Percent) String() string { return strconv.FormatFloat(100*float64(*p), 'g', -1, 64) + "%" }

// Type names the value in help pages.
func (p *Percent) Type() string { return "percent" }

// Prefixes is a repeatable flag that takes addresses and prefixes: 10.0.0.0/8, 192.0.2.7.
type Prefixes []netip.Prefix

// Set reads the flag's value.
func (p *Prefixes) Set(s string) error {
	for word := range strings.SplitSeq(s, ",") {
		prefix, err := netip.ParsePrefix(word)
		if addr, aerr := netip.ParseAddr(word); err != nil && aerr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("prefix %q: want an address or a prefix such as 10.0.0.0/8", word)
		}
		*p = append(*p, prefix)
	}
	return nil
}

func (p *Prefixes) String() string {
	words := make([]string, len(*p))
	for i, prefix := range *p {
		words[i] = prefix.String()
	}
	return strings.Join(words, ",")
}

// Type names the value in help pages.
func (p *Prefixes) Type() string { return "prefix" }
