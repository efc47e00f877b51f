package evidence

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
)

// cpuTableText is /proc/net/stat/{nf_conntrack,arp_cache,ndisc_cache,rt_cache,…}.
var cpuTableText = Text{
	Path: "proc/net/stat/*",
	Doc:  "counters of connection tracking and of the neighbour tables, by CPU",
	read: readCPUTable,
}

// CPUTable is a text of /proc/net/stat: columns with names, a row for each CPU.
type CPUTable struct {
	Names []string
	Rows  [][]uint32 // by possible CPU in their order; 32-bit counters that wrap
}

// ParseCPUTable reads /proc/net/stat/*: a line of names, then lines of hexadecimal
// counters (net/netfilter/nf_conntrack_standalone.c, ct_cpu_seq_show, and
// net/core/neighbour.c, neigh_stat_seq_show, Linux 2.6.12 to 6.18). The first column,
// entries, is a level of the whole table and the same in each row. Newer kernels print
// fewer numbers than names where a counter is gone, never more.
func ParseCPUTable(text []byte) (CPUTable, error) {
	var t CPUTable
	err := lines(text, func(_ int, line []byte) error {
		fields := bytes.Fields(line)
		if t.Names == nil {
			for _, f := range fields {
				t.Names = append(t.Names, string(f))
			}
			return nil
		}
		if len(fields) > len(t.Names) {
			return fmt.Errorf("%d columns under %d names", len(fields), len(t.Names))
		}
		row := make([]uint32, len(fields))
		for i, f := range fields {
			v, err := strconv.ParseUint(string(f), 16, 32)
			if err != nil {
				return fmt.Errorf("%s: %q is not a hexadecimal 32-bit number", clip([]byte(t.Names[i])), clip(f))
			}
			row[i] = uint32(v)
		}
		t.Rows = append(t.Rows, row)
		return nil
	})
	return t, err
}

// readCPUTable keeps the counters of each CPU apart, as their sum would wrap elsewhere.
func readCPUTable(name string, text []byte, r row) error {
	t, err := ParseCPUTable(text)
	table := path.Base(name)
	for cpu, row := range t.Rows {
		for i, v := range row {
			if t.Names[i] == "entries" {
				r.put(Gauge, "1", float64(v), "nstat", table, "entries")
				continue
			}
			r.put(Counter32, "1", float64(v), "nstat", table, t.Names[i], "cpu"+strconv.Itoa(cpu))
		}
	}
	return err
}
