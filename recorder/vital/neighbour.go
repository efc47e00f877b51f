//go:build linux

package vital

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

// The tables are one for the whole machine, and so are their counters; the kernel shows them
// in its first network namespace only (net/core/neighbour.c, neigh_table_init: init_net).
var neighbourMeter = &Meter{
	ID:  "neighbours",
	Doc: "the ARP and neighbour-discovery tables: /proc/net/stat/arp_cache and ndisc_cache",
	Vitals: []Vital{
		{"neighbour.failed", "1/s", "neighbours that did not answer, packets dropped while asking, tables full, of the whole machine (res_failed, unresolved_discards, table_fulls)"},
	},
	Variants: []Variant{{Name: "proc", Late: true, Open: openNeighbours}},
}

type neighbourReader struct {
	files  []*procfs.File
	failed rate
}

func openNeighbours(env Env) (Reader, error) {
	arp, err := procfs.Open(env.Root, "proc/net/stat/arp_cache")
	if err != nil {
		return nil, absent(err, "the kernel shows neighbours' counters in its first network namespace only")
	}
	r := &neighbourReader{files: []*procfs.File{arp}}
	ndisc, err := procfs.Open(env.Root, "proc/net/stat/ndisc_cache")
	if err == nil {
		r.files = append(r.files, ndisc)
	} else if !errors.Is(err, os.ErrNotExist) { // which is without IPv6
		arp.Close()
		return nil, err
	}
	return r, nil
}

func (r *neighbourReader) Read(now time.Time, out []float64) error {
	var sum uint64
	for _, f := range r.files {
		text, err := f.Read()
		if err != nil {
			return err
		}
		err = kerneltext.ParseCPUTable(text, func(c kerneltext.CPUCell) {
			switch string(c.Name) {
			case "res_failed", "unresolved_discards", "table_fulls":
				sum += uint64(c.Value)
			}
		})
		if err != nil {
			return fmt.Errorf("parse %s: %w", f.Name(), err)
		}
	}
	out[0] = r.failed.add(now, sum)
	return nil
}

func (r *neighbourReader) Close() error {
	for _, f := range r.files {
		f.Close()
	}
	return nil
}
