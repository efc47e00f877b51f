//go:build linux

package probe

import (
	"errors"
	"strings"
	"testing"
)

const kallsyms = `0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 t tcp_collapse
ffffffff81000180 d some_data
ffffffff81000200 T tcp_v4_rcv
ffffffffc0000000 t nf_conntrack_in	[nf_conntrack]
ffffffff81000400 t out_of_order
`

func TestSymbols(t *testing.T) {
	want := map[uint64]string{
		0xffffffff81000000: "_stext+0x0",
		0xffffffff81000100: "tcp_collapse+0x0",
		0xffffffff81000190: "tcp_collapse+0x90",
		0xffffffff81000194: "tcp_collapse+0x94",
		0xffffffff81000210: "tcp_v4_rcv+0x10",
		0xffffffff81000405: "out_of_order+0x5",
		0xffffffffc0000042: "nf_conntrack_in [nf_conntrack]+0x42",
		0xffffffffd0000000: "0xffffffffd0000000", // far behind everything
		0x1234:             "0x1234",
	}
	var addresses []uint64
	for a := range want {
		addresses = append(addresses, a, a)
	}
	s, err := parseSymbols(strings.NewReader(kallsyms), addresses)
	if err != nil {
		t.Fatal(err)
	}
	for a, name := range want {
		if got := s.Name(a); got != name {
			t.Errorf("%x is %s, want %s", a, got, name)
		}
	}
	if got := s.Function(0xffffffff81000190); got != "tcp_collapse" {
		t.Errorf("function %s", got)
	}
	if got := (*Symbols)(nil).Name(1); got != "0x1" {
		t.Errorf("without symbols: %s", got)
	}
}

func TestSymbolsHidden(t *testing.T) {
	hidden := "0000000000000000 T _stext\n0000000000000000 t tcp_collapse\n"
	if s, err := parseSymbols(strings.NewReader(hidden), []uint64{7}); !errors.Is(err, errHidden) || s.Name(7) != "0x7" {
		t.Errorf("hidden addresses: %v, %s", err, s.Name(7))
	}
}

func FuzzParseSymbols(f *testing.F) {
	f.Add(kallsyms, uint64(0xffffffff81000190))
	f.Add("zz T x", uint64(0))
	f.Fuzz(func(t *testing.T, text string, address uint64) {
		s, _ := parseSymbols(strings.NewReader(text), []uint64{address, address / 2})
		if found, ok := s.find(address); ok && (found.start > address || found.name == "") {
			t.Errorf("address %x is in %q from %x", address, found.name, found.start)
		}
	})
}
