//go:build linux

package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// TestProgramCost prints how often each armed program runs for a request, and for how long,
// as the kernel counts it: with the measuring itself, which the row of an empty program shows.
func TestProgramCost(t *testing.T) {
	if os.Getenv("SPIKEBOX_BENCH_PAIRS") == "" {
		t.Skip("needs some seconds of a quiet machine: run make bench-armed")
	}
	server, client := testns.Pair(t)
	worker := serve(t, server.NS)
	measuring, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		t.Skipf("the kernel does not time its programs: %v", err)
	}
	defer measuring.Close()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LOAD\tPROGRAM\tRUNS A REQUEST OR PACKET\tNS A RUN\tNS A REQUEST OR PACKET")
	for _, what := range []string{"empty programs", "all programs"} {
		others := tracing(t, nil)
		v := variants(t)[slices.IndexFunc(variants(t), func(v variant) bool { return v.name == what })]
		armed := v.start(t, server.NS)
		programs := tracing(t, others)
		const window = 3 * time.Second
		for _, l := range loads[:2] {
			before := costs(t, programs)
			f := ask(t, client.NS, server.Addr, worker, l, window)
			costRows(w, l.name, what, f.rate*window.Seconds(), before, costs(t, programs))
		}
		before := costs(t, programs)
		f := flood(t, client.NS, server.Addr, armed, window)
		costRows(w, "UDP flood to a closed port", what, f.rate*window.Seconds(), before, costs(t, programs))
		armed.stop()
		for _, p := range programs {
			p.Close()
		}
	}
	w.Flush()
}

// costRows prints what each program ran for one of n requests or packets, and all together.
func costRows(w io.Writer, load, all string, n float64, before, after []cost) {
	var runs, took float64
	for i, c := range after {
		r, ns := float64(c.runs-before[i].runs)/n, float64(c.took-before[i].took)/n
		runs, took = runs+r, took+ns
		if r > 0.01 && all != "empty programs" { // which have no names
			fmt.Fprintf(w, "%s\t%s\t%.2f\t%.0f\t%.0f\n", load, c.name, r, ns/r, ns)
		}
	}
	fmt.Fprintf(w, "%s\t%s\t%.2f\t%.0f\t%.0f\n", load, all, runs, took/runs, took)
}

// tracing gives the programs of tracepoints and clocks that are loaded on the machine, but for those of except.
func tracing(t *testing.T, except []*ebpf.Program) (all []*ebpf.Program) {
	t.Helper()
	known := map[ebpf.ProgramID]bool{}
	for _, p := range except {
		known[id(t, p)] = true
	}
	for next := ebpf.ProgramID(0); ; {
		var err error
		if next, err = ebpf.ProgramGetNextID(next); errors.Is(err, os.ErrNotExist) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		p, err := ebpf.NewProgramFromID(next)
		if err != nil || known[next] || p.Type() != ebpf.Tracing && p.Type() != ebpf.PerfEvent {
			continue // it has gone, or is no probe
		}
		all = append(all, p)
	}
}

func id(t *testing.T, p *ebpf.Program) ebpf.ProgramID {
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return id
}

// cost is what a program has run for so far.
type cost struct {
	name string
	runs uint64
	took time.Duration
}

func costs(t *testing.T, programs []*ebpf.Program) (all []cost) {
	t.Helper()
	for _, p := range programs {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		stats, err := p.Stats()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cost{strings.TrimSuffix(info.Name, "_"), stats.RunCount, stats.Runtime})
	}
	return all
}
