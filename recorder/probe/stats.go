//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ProgramStats is what one program has cost since MeasureCost.
type ProgramStats struct {
	Probe   string // ID in All
	Program string // as bpftool(8) shows it
	Runs    uint64
	Time    time.Duration // with the measuring itself: 70 ns a run where an empty program was tried
	// Missed runs were skipped by the kernel because the program was interrupted by
	// an event of its own on the same CPU.
	Missed uint64
}

// MeasureCost makes the kernel time each run of every eBPF program on the machine until
// the returned Closer is closed (Linux 5.8).
func MeasureCost() (io.Closer, error) {
	c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, fmt.Errorf("enable statistics of eBPF programs: %w", err)
	}
	return c, nil
}

// Stats returns the cost of every armed program. Without MeasureCost only Missed is
// counted.
func (s *Set) Stats() ([]ProgramStats, error) {
	var all []ProgramStats
	var errs []error
	for _, a := range s.armed {
		for _, l := range a.loaded {
			for name, prog := range l.Programs {
				st, err := prog.Stats()
				if err != nil {
					errs = append(errs, fmt.Errorf("read statistics of program %s: %w", name, err))
					continue
				}
				all = append(all, ProgramStats{a.probe.ID, name, st.RunCount, st.Runtime, st.RecursionMisses})
			}
		}
	}
	return all, errors.Join(errs...)
}
