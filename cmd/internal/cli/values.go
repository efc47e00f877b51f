package cli

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spikebox/spikebox/format/unit"
)

// Bytes is a flag that takes a size with a unit: 64MiB, 2GiB, 512KiB, 1000B.
type Bytes int64

// Set reads the flag's value.
func (b *Bytes) Set(s string) error {
	n, err := unit.ParseSize(s)
	if err == nil {
		*b = Bytes(n)
	}
	return err
}

func (b *Bytes) String() string { return unit.FormatSize(int64(*b)) }

// Type names the value in help pages.
func (b *Bytes) Type() string { return "size" }

// Room is a flag that takes a size, or auto for one that the program chooses: 0.
type Room int64

// Set reads the flag's value.
func (r *Room) Set(s string) error {
	if s == "auto" {
		*r = 0
		return nil
	}
	n, err := unit.ParseSize(s)
	if err == nil && n == 0 {
		err = fmt.Errorf("size %q: want more than nothing, or auto", s)
	}
	if err == nil {
		*r = Room(n)
	}
	return err
}

func (r *Room) String() string {
	if *r == 0 {
		return "auto"
	}
	return unit.FormatSize(int64(*r))
}

// Type names the value in help pages.
func (r *Room) Type() string { return "size" }

// Percent is a flag that takes a share: 10%.
type Percent float64

// Set reads the flag's value.
func (p *Percent) Set(s string) error {
	share, err := unit.ParseShare(s)
	if err == nil {
		*p = Percent(share)
	}
	return err
}

func (p *Percent) String() string { return unit.FormatShare(float64(*p)) }

// Type names the value in help pages.
func (p *Percent) Type() string { return "percent" }

// Cap is a flag that takes a share that is not to be passed: 1%, or off for none.
type Cap float64

// Set reads the flag's value.
func (c *Cap) Set(s string) error {
	if s == "off" {
		*c = 0
		return nil
	}
	share, err := unit.ParseShare(s)
	if err != nil || share == 0 {
		return fmt.Errorf("cap %q: want a percentage such as 1%%, or off", s)
	}
	*c = Cap(share)
	return nil
}

func (c *Cap) String() string {
	if *c == 0 {
		return "off"
	}
	return unit.FormatShare(float64(*c))
}

// Type names the value in help pages.
func (c *Cap) Type() string { return "percent" }

// Prefixes is a repeatable flag that takes addresses and prefixes: 10.0.0.0/8, 192.0.2.7.
type Prefixes []netip.Prefix

// Set reads the flag's value.
func (p *Prefixes) Set(s string) error {
	for word := range strings.SplitSeq(s, ",") {
		prefix, err := parsePrefix(word)
		if err != nil {
			return err
		}
		*p = append(*p, prefix)
	}
	return nil
}

// parsePrefix refuses what would silently mean something else: a zone, of which packets
// know nothing and which may hold the slash of fe80::1%eth0/64, and IPv4 inside of IPv6,
// which no packet has.
func parsePrefix(word string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(word)
	if addr, aerr := netip.ParseAddr(word); err != nil && aerr == nil {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case strings.Contains(word, "%"):
		return prefix, fmt.Errorf("prefix %q: packets carry no zone: leave out what begins with %%", word)
	case err != nil:
		return prefix, fmt.Errorf("prefix %q: want an address or a prefix such as 10.0.0.0/8", word)
	case prefix.Addr().Is4In6():
		return prefix, fmt.Errorf("prefix %q: packets carry it as IPv4: want %s", word, prefix.Addr().Unmap())
	}
	return prefix, nil
}

func (p *Prefixes) String() string { return strings.Join(p.GetSlice(), ",") }

// GetSlice gives the prefixes one by one, as pflag's own lists do.
func (p *Prefixes) GetSlice() []string {
	words := make([]string, len(*p))
	for i, prefix := range *p {
		words[i] = prefix.String()
	}
	return words
}

// Type names the value in help pages.
func (p *Prefixes) Type() string { return "prefix" }
