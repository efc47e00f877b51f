//go:build linux

package probe

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

const kallsyms = `0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 t tcp_collapse
ffffffff81000180 d some_data
ffffffff81000200 T tcp_v4_rcv
ffffffffc0000000 t nf_conntrack_in	[nf_conntrack]
ffffffff81000400 t out_of_order
ffffffffc0003000 t nf_nat_out	[nf_nat]
ffffffffc0100000 t ftrace_trampoline	[__builtin__ftrace]
ffffffffc0200000 t bpf_prog_53dc91b9d7eeb9ff_tcp_again	[bpf]
ffffffffc0200100 t bpf_prog_6deef7357e7b4530_gone_since	[bpf]
`

const modules = `nf_conntrack 8192 1 nf_nat, Live 0xffffffffc0000000
nf_nat 4096 0 - Live 0xffffffffc0003000
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

		// Of a module that has gone, behind one that is there.
		0xffffffffc0002042: "0xffffffffc0002042",
		0xffffffffc0003001: "nf_nat_out [nf_nat]+0x1",
		0xffffffffc0004000: "0xffffffffc0004000",
		0xffffffffc0100020: "ftrace_trampoline [__builtin__ftrace]+0x20",
		0xffffffffc0140000: "0xffffffffc0140000",
		// A classic filter, which has no symbol, in the same page as a program; and a program that
		// went after its name was read.
		0xffffffffc020004f: "bpf_prog_53dc91b9d7eeb9ff_tcp_again [bpf]+0x4f",
		0xffffffffc0200050: "0xffffffffc0200050",
		0xffffffffc0200110: "0xffffffffc0200110",
	}
	var addresses []uint64
	for a := range want {
		addresses = append(addresses, a, a)
	}
	s, err := parseSymbols(strings.NewReader(kallsyms), addresses)
	if err != nil {
		t.Fatal(err)
	}
	s.end(&ends{map[uint64]uint64{0xffffffffc0200000: 0xffffffffc0200050}, parseModules(modules)})
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

// TestSymbolsOfPrograms compares with what bpf(2) says of our own programs: each has its name from its first
// byte to its last, and what is behind it has not.
func TestSymbolsOfPrograms(t *testing.T) {
	testns.New(t)
	pageSize := uint64(os.Getpagesize())
	s := Open(Options{})
	t.Cleanup(func() { s.Close() })
	inside := map[uint64]string{} // addresses, and what names end with
	var behind []uint64
	release, err := features.LinuxVersionCode()
	must(t, err)
	for _, a := range s.armed {
		for _, l := range programs(a) {
			for name, p := range l.Programs {
				starts, lengths := jited(t, p)
				inside[starts[0]], inside[starts[0]+lengths[0]-1] = "_"+name[:min(len(name), 15)], "_"+name[:min(len(name), 15)]
				for i := range starts {
					end := starts[i] + lengths[i]
					if release < 5<<16|18<<8 { // each has pages of its own, and they are told
						end = (end + pageSize - 1) / pageSize * pageSize
					}
					behind = append(behind, end)
				}
			}
		}
	}
	if len(inside) < 20 {
		t.Fatalf("%d addresses of programs", len(inside))
	}
	addresses := append(slices.Collect(maps.Keys(inside)), behind...)
	found, err := s.Symbols(addresses)
	must(t, err)
	for a, want := range inside {
		if got := found.Function(a); !strings.Contains(got, want) {
			t.Errorf("%#x is %s, want …%s", a, got, want)
		}
	}
	for _, a := range behind {
		if at, ok := found.find(a); ok && at.start != a {
			t.Errorf("%#x, where a program has ended, is %s", a, found.Name(a))
		}
	}
}

// jited is where the kernel has a program's code.
func jited(t *testing.T, p *ebpf.Program) (starts, lengths []uint64) {
	t.Helper()
	info, err := p.Info()
	must(t, err)
	addresses, ok1 := info.JitedKsymAddrs()
	sizes, ok2 := info.JitedFuncLens()
	if !ok1 || !ok2 || len(addresses) != len(sizes) {
		t.Fatalf("%v: %d addresses, %d lengths", p, len(addresses), len(sizes))
	}
	for i := range addresses {
		starts, lengths = append(starts, uint64(addresses[i])), append(lengths, uint64(sizes[i]))
	}
	return starts, lengths
}

func FuzzParseSymbols(f *testing.F) {
	f.Add(kallsyms, uint64(0xffffffff81000190))
	f.Add("zz T x", uint64(0))
	f.Fuzz(func(t *testing.T, text string, address uint64) {
		s, _ := parseSymbols(strings.NewReader(text), []uint64{address, address / 2})
		s.end(&ends{module: parseModules(text)})
		if found, ok := s.find(address); ok && (found.start > address || found.name == "") {
			t.Errorf("address %x is in %q from %x", address, found.name, found.start)
		}
	})
}
