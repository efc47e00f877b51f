//go:build linux

package vital

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

var pressureMeter = &Meter{
	ID:  "pressure",
	Doc: "how much of the time something of the machine waited: /proc/pressure",
	// some, not full: the first request that waits is late, whoever else goes on. Of the total,
	// for avg10 needs ten seconds to tell, and goes on telling for as long.
	Vitals: []Vital{
		{"psi.cpu", "ratio", "time in which a task waited for a CPU (some)"},
		{"psi.memory", "ratio", "time in which a task waited for memory: reclaim, swap, refaults (some)"},
		{"psi.io", "ratio", "time in which a task waited for a disk (some)"},
	},
	Variants: []Variant{{Name: "proc", Late: true, Open: openPressure}},
}

// pressureReader reads three files, in the order of the vitals.
type pressureReader struct {
	files [3]*procfs.File
	rates [3]rate
}

func openPressure(env Env) (Reader, error) {
	r := &pressureReader{}
	for i, resource := range []string{"cpu", "memory", "io"} {
		file, err := procfs.Open(env.Root, "proc/pressure/"+resource)
		if err != nil {
			r.Close()
			return nil, absent(err, "this kernel keeps no pressure stall information (CONFIG_PSI, psi=1)")
		}
		r.files[i] = file
	}
	return r, nil
}

func (r *pressureReader) Read(now time.Time, out []float64) error {
	for i, f := range r.files {
		text, err := f.Read()
		if err != nil {
			return err
		}
		err = kerneltext.ParsePressure(text, func(p kerneltext.PressureRow) {
			if p.Kind == "some" {
				// What a CPU's clock is ahead of ours may be a little more than all of the time.
				out[i] = min(1, r.rates[i].add(now, p.TotalUs)/1e6)
			}
		})
		if err != nil {
			return fmt.Errorf("parse %s: %w", f.Name(), err)
		}
	}
	return nil
}

func (r *pressureReader) Close() error {
	for _, f := range r.files {
		if f != nil {
			f.Close()
		}
	}
	return nil
}
