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
