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
)

// Symbols are the names of some addresses of kernel code.
type Symbols struct {
	address []uint64 // sorted
	symbol  []symbol // the one at or before each address
}

// symbol is where a function begins.
type symbol struct {
	start uint64 // 0: none
	name  string // with its module: nf_hook [nf_conntrack]
}

// farthest is how far behind a symbol's start an address may be: kernel functions are
// smaller than 1 MiB, and behind the last one of a module is nothing.
const farthest = 1 << 20

var errHidden = errors.New("kernel hides its addresses: CAP_SYSLOG missing, or sysctl kernel.kptr_restrict is 2")

// ReadSymbols looks addresses up in /proc/kallsyms, which takes some 50 ms. Even with
// an error the Symbols can be used, and print addresses as numbers.
func ReadSymbols(addresses []uint64) (*Symbols, error) {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return &Symbols{}, fmt.Errorf("read kernel symbols: %w", err)
	}
	defer f.Close()
	s, err := parseSymbols(f, addresses)
	if err != nil {
		return s, fmt.Errorf("read kernel symbols: %w", err)
	}
	return s, nil
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
			s.symbol[i] = symbol{start, string(name)}
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
	if !known || s.symbol[i].start == 0 || address-s.symbol[i].start > farthest {
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
