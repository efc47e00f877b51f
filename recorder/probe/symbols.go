//go:build linux

package probe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Symbols are the names of some addresses of kernel code.
type Symbols struct {
	address []uint64 // sorted
	symbol  []symbol // the one at or before each address
}

// symbol is where a function begins.
type symbol struct {
	start uint64 // 0: none
	end   uint64 // of what it is certainly not behind
	name  string // with its module: nf_hook [nf_conntrack]
}

// farthest is how far behind a symbol's start an address may be: kernel functions are
// smaller than 1 MiB, and behind the last one of the kernel itself is nothing.
const farthest = 1 << 20

// ends are where code ends whose beginnings alone are among the kernel's symbols, and behind
// which may be code without any: what has gone since, and classic BPF filters.
type ends struct {
	program map[uint64]uint64 // of BPF programs, by where they begin
	module  map[string]uint64
}

// of returns where the code of a symbol ends. What another BPF image than a program's is (a
// trampoline) has no name of use, and its size is nowhere; of __builtin__ftrace and the like
// the kernel has pages (kernel/kallsyms.c).
func (e *ends) of(s *symbol) uint64 {
	_, module, ok := strings.Cut(s.name, " [")
	switch module = strings.TrimSuffix(module, "]"); {
	case !ok:
		return s.start + farthest
	case module == "bpf":
		return e.program[s.start]
	case strings.HasPrefix(module, "__builtin__"):
		return s.start + uint64(os.Getpagesize())
	}
	return min(e.module[module], s.start+farthest)
}

var errHidden = errors.New("kernel hides its addresses: CAP_SYSLOG missing, or sysctl kernel.kptr_restrict is 2")

// Symbols looks addresses up in /proc/kallsyms, which takes some 50 ms. Even with
// an error they can be used, and print addresses as numbers.
func (s *Set) Symbols(addresses []uint64) (*Symbols, error) {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return &Symbols{}, fmt.Errorf("read kernel symbols: %w", err)
	}
	defer f.Close()
	found, err := parseSymbols(f, addresses)
	if err != nil {
		return found, fmt.Errorf("read kernel symbols: %w", err)
	}
	e := ends{module: moduleEnds()}
	e.program, err = s.extents.read()
	found.end(&e)
	return found, err
}

// moduleEnds reads where the modules' memory ends; the end of their text is before that. Without
// modules, in the kernel or at all, that is of none.
func moduleEnds() map[string]uint64 {
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		return nil
	}
	return parseModules(string(text))
}

// parseModules reads lines as /proc/modules has them: nf_nat 57344 1 nft_nat, Live 0xffffffffc0a00000.
func parseModules(text string) map[string]uint64 {
	ends := map[string]uint64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		size, err1 := strconv.ParseUint(fields[1], 10, 64)
		start, err2 := strconv.ParseUint(fields[5], 0, 64)
		if err1 == nil && err2 == nil {
			ends[fields[0]] = start + size
		}
	}
	return ends
}

// parseSymbols reads lines as kallsyms has them: ffffffff81000000 T name [module]. They
// are not sorted throughout, so each symbol is tried at the first address behind it.
func parseSymbols(r io.Reader, addresses []uint64) (*Symbols, error) {
	s := &Symbols{address: slices.Clone(addresses)}
	slices.Sort(s.address)
	s.address = slices.Compact(s.address)
	s.symbol = make([]symbol, len(s.address))
	shown := false // an unprivileged reader sees every address as 0
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		start, kind, name, ok := parseSymbol(lines.Bytes())
		if !ok {
			return s, fmt.Errorf("parse kernel symbol %q: want address, type and name", lines.Text())
		}
		shown = shown || start != 0
		// Code only: local, global and weak.
		if kind != 't' && kind != 'T' && kind != 'w' && kind != 'W' || start == 0 {
			continue
		}
		i, _ := slices.BinarySearch(s.address, start)
		if i < len(s.symbol) && start > s.symbol[i].start { // of aliases the first
			s.symbol[i] = symbol{start: start, name: string(name)}
		}
	}
	for i := range s.symbol[:max(0, len(s.symbol)-1)] { // a symbol may hold several addresses
		if s.symbol[i+1].start < s.symbol[i].start {
			s.symbol[i+1] = s.symbol[i]
		}
	}
	if err := lines.Err(); err != nil {
		return s, err
	}
	if !shown {
		return s, errHidden
	}
	return s, nil
}

// end tells the symbols where they end.
func (s *Symbols) end(e *ends) {
	for i := range s.symbol {
		s.symbol[i].end = e.of(&s.symbol[i])
	}
}

// parseSymbol splits a line; the module is set off by a tab.
func parseSymbol(line []byte) (start uint64, kind byte, name []byte, ok bool) {
	head, rest, found := bytes.Cut(line, []byte(" "))
	if !found || len(rest) < 3 || rest[1] != ' ' {
		return 0, 0, nil, false
	}
	start, err := strconv.ParseUint(string(head), 16, 64)
	return start, rest[0], bytes.ReplaceAll(rest[2:], []byte("\t"), []byte(" ")), err == nil
}

// find returns the symbol that holds an address.
func (s *Symbols) find(address uint64) (symbol, bool) {
	if s == nil {
		return symbol{}, false
	}
	i, known := slices.BinarySearch(s.address, address)
	if !known || s.symbol[i].start == 0 || address >= s.symbol[i].end {
		return symbol{}, false
	}
	return s.symbol[i], true
}

// Function returns the name of the function that holds an address, with its module, as
// nf_hook_slow or nf_conntrack_in [nf_conntrack]; the address where it is not known.
func (s *Symbols) Function(address uint64) string {
	if found, ok := s.find(address); ok {
		return found.name
	}
	return fmt.Sprintf("0x%x", address)
}

// Name returns the function and the offset in it: tcp_v4_rcv+0x2a.
func (s *Symbols) Name(address uint64) string {
	if found, ok := s.find(address); ok {
		return fmt.Sprintf("%s+0x%x", found.name, address-found.start)
	}
	return fmt.Sprintf("0x%x", address)
}
