package column

import (
	"path"
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// cpuTableText is /proc/net/stat/{nf_conntrack,arp_cache,ndisc_cache,rt_cache,…}.
var cpuTableText = Text{
	Path: "proc/net/stat/*",
	Doc:  "counters of connection tracking and of the neighbour tables, by CPU",
	read: readCPUTable,
}

// readCPUTable keeps the counters of each CPU apart, as their sum would wrap elsewhere.
func readCPUTable(name string, text []byte, r Row) error {
	table := path.Base(name)
	return kerneltext.ParseCPUTable(text, func(c kerneltext.CPUCell) {
		if string(c.Name) == "entries" {
			r.Put(Gauge, "1", float64(c.Value), "nstat", table, "entries")
			return
		}
		r.Put(Counter32, "1", float64(c.Value), "nstat", table, string(c.Name), "cpu"+strconv.Itoa(c.CPU))
	})
}
