package kerneltext

import (
	"bytes"
	"fmt"
	"strconv"
)

// CPUCell is one number of a text of /proc/net/stat. Name is valid until the function that
// got it returns.
type CPUCell struct {
	CPU   int    // by possible CPU in their order
	Name  []byte // insert_failed; entries is a level of the whole table, on each CPU's line
	Value uint32 // of a counter: it wraps
}

// ParseCPUTable reads /proc/net/stat/*: a line of names, then for each CPU a line of
// hexadecimal numbers (net/netfilter/nf_conntrack_standalone.c, ct_cpu_seq_show, and
// net/core/neighbour.c, neigh_stat_seq_show, Linux 2.6.12 to 6.18). Newer kernels print
// fewer numbers than names where a counter is gone, never more. It calls cell with each
// number and does not allocate.
func ParseCPUTable(text []byte, cell func(CPUCell)) error {
	var names []byte
	cpu := 0
	return Lines(text, func(_ int, line []byte) error {
		if names == nil {
			names = line
			return nil
		}
		err := cpuCells(names, line, cpu, cell)
		if err == nil {
			cpu++
		}
		return err
	})
}

// cpuCells gives the numbers of one CPU, once all of them are read: in a line that has one
// broken, nothing says that the others are in their places.
func cpuCells(names, line []byte, cpu int, cell func(CPUCell)) error {
	const widest = 64 // nf_conntrack, the widest, has 17
	var buf [widest][]byte
	var values [widest]uint32
	columns := fields(buf[:0], line)
	if len(columns) > widest {
		return fmt.Errorf("%d columns, want at most %d", len(columns), widest)
	}
	rest := names
	for i, column := range columns {
		var name []byte
		if name, rest = word(rest); len(name) == 0 {
			return fmt.Errorf("%d columns under %d names", len(columns), len(bytes.Fields(names)))
		}
		v, err := strconv.ParseUint(string(column), 16, 32)
		if err != nil {
			return fmt.Errorf("%s: %q is not a hexadecimal 32-bit number", Clip(name), Clip(column))
		}
		values[i] = uint32(v)
	}
	rest = names
	for i := range columns {
		var name []byte
		name, rest = word(rest)
		cell(CPUCell{CPU: cpu, Name: name, Value: values[i]})
	}
	return nil
}
