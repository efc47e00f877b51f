package cli

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// A flag prints its default as it is read, and keeps its value where a new one is refused.
func TestValues(t *testing.T) {
	size, share, most, prefixes := Bytes(64<<20), Percent(0.1), Cap(0.01), Prefixes{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		value      pflag.Value
		is, kind   string
		good       map[string]string // what is read, and printed then
		bad        map[string]string // what is refused, and how
		afterwards string
	}{
		{
			value: &size, is: "64MiB", kind: "size",
			good: map[string]string{
				"1000B": "1000B", "0B": "0B", "512KiB": "512KiB", "1024KiB": "1MiB", "0.5GiB": "512MiB", "2TiB": "2TiB", "1 MiB": "1MiB", "1e3B": "1000B",
			},
			bad: map[string]string{
				"": "want a unit", "64": "want a unit", "64MB": "want 64MiB", "64mib": "want 64MiB", "64M": "want 64MiB", "1.5gb": "want 1.5GiB", "1 kB": "want 1 KiB", "MiB": "want a number before MiB",
				"-1MiB": "want a number before MiB", "NaNB": "want a number before B", "InfGiB": "want a number before GiB", "9e9TiB": "want a number before TiB",
			},
			afterwards: "1MiB",
		},
		{
			value: &share, is: "10%", kind: "percent",
			good: map[string]string{"0%": "0%", "100%": "100%", "12.5%": "12.5%"},
			bad: map[string]string{
				"": "want a percentage", "10": "want a percentage", "0.1": "want a percentage", "-1%": "want a percentage", "100.1%": "want a percentage",
				"NaN%": "want a percentage", "x%": "want a percentage", "1 %": "want a percentage",
			},
			afterwards: "50%",
		},
		{
			value: &most, is: "1%", kind: "percent",
			good: map[string]string{"off": "off", "0.5%": "0.5%", "100%": "100%"},
			bad: map[string]string{
				"": "want a percentage such as 1%, or off", "1": "or off", "0%": "or off", "101%": "or off", "no": "or off",
			},
			afterwards: "2%",
		},
	} {
		if c.value.String() != c.is || c.value.Type() != c.kind {
			t.Errorf("%s is %s, want %s of type %s", c.value.Type(), c.value, c.is, c.kind)
		}
		for in, want := range c.good {
			if err := c.value.Set(in); err != nil || c.value.String() != want {
				t.Errorf("%s %q is %s, %v; want %s", c.kind, in, c.value, err, want)
			}
		}
		if err := c.value.Set(c.afterwards); err != nil {
			t.Fatal(err)
		}
		for in, want := range c.bad {
			err := c.value.Set(in)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"`+in+`"`) {
				t.Errorf("%s %q: %v, want an error that names it and says %q", c.kind, in, err, want)
			}
		}
		if c.value.String() != c.afterwards {
			t.Errorf("%s is %s after what was refused, want %s", c.kind, c.value, c.afterwards)
		}
	}
	if got := prefixes.String(); got != "10.0.0.0/8" || prefixes.Type() != "prefix" {
		t.Errorf("prefixes are %s of type %s", got, prefixes.Type())
	}
}

// Prefixes add up, over commas and over flags; an address is the prefix of itself.
func TestPrefixes(t *testing.T) {
	var p Prefixes
	for _, in := range []string{"10.0.0.0/8,192.0.2.7", "2001:db8::/32", "2001:db8::1"} {
		if err := p.Set(in); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, prefix := range p {
		got = append(got, prefix.String())
	}
	want := []string{"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "2001:db8::1/128"}
	if !slices.Equal(got, want) || p.String() != strings.Join(want, ",") {
		t.Errorf("%v, printed %s; want %v", got, p.String(), want)
	}
	for in, want := range map[string]string{
		"fe80::1%eth0/64": "leave out what begins with %", "fe80::1%eth0": "leave out what begins with %", "fe80::/64%eth0": "leave out",
		"::ffff:10.0.0.1": "want 10.0.0.1", "::ffff:10.0.0.0/104": "want 10.0.0.0",
	} {
		var p Prefixes
		if err := p.Set(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %q", in, err, want)
		}
	}
	for _, in := range []string{"", "10.0.0.0/33", "example", "10.0.0.1,", "10.0.0.0/8/8", "10.0.0"} {
		var p Prefixes
		if err := p.Set(in); err == nil || !strings.Contains(err.Error(), "want an address or a prefix such as 10.0.0.0/8") {
			t.Errorf("%q: %v", in, err)
		}
	}
}
