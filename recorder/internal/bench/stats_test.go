//go:build linux

package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

func cpus() int { return runtime.NumCPU() }

// cpuTicks is user, nice and system time of all processes (proc_pid_stat(5), /proc/stat).
// Time in softirqs belongs to nobody there and is left out.
func cpuTicks() (n int64) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for _, f := range strings.Fields(line)[1:4] {
		v, _ := strconv.ParseInt(f, 10, 64)
		n += v
	}
	return n
}

// groupTicks is the same of this process's group: the server, wrk, and what is armed. Those
// that have ended are in their parent's sums.
func groupTicks() (n int64) {
	group := strconv.Itoa(unix.Getpgrp())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(f) < 15 || f[2] != group {
			continue
		}
		for _, s := range f[11:15] { // utime stime cutime cstime
			v, _ := strconv.ParseInt(s, 10, 64)
			n += v
		}
	}
	return n
}

// interval is a median with its 95 % bootstrap interval.
type interval struct{ median, low, high float64 }

func (i interval) String() string { return fmt.Sprintf("%.3f (%.3f–%.3f)", i.median, i.low, i.high) }

func bootstrap(ratios []float64) interval {
	const draws = 2000
	r := rand.New(rand.NewPCG(1, 2))
	medians := make([]float64, draws)
	sample := make([]float64, len(ratios))
	for d := range medians {
		for i := range sample {
			sample[i] = ratios[r.IntN(len(ratios))]
		}
		medians[d] = median(sample)
	}
	slices.Sort(medians)
	return interval{median(ratios), medians[draws*25/1000], medians[draws*975/1000]}
}

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// tooBusy is the share of the machine that others may use before a pair says nothing.
const tooBusy = 0.05

// settle is how long each window waits for what was just armed to be as it is for months: softirqs are timed at once,
// and for the first time.
const settle = 500 * time.Millisecond

// TestArmedCost prints what each variant costs a web server: ratios of an armed window to
// an unarmed one beside it, as medians over the pairs. It takes minutes and concludes
// nothing by itself, so it runs on demand only.
func TestArmedCost(t *testing.T) {
	pairs, _ := strconv.Atoi(os.Getenv("SPIKEBOX_BENCH_PAIRS"))
	if pairs == 0 {
		t.Skip("needs some minutes of a quiet machine: run make bench-armed")
	}
	window, err := time.ParseDuration(os.Getenv("SPIKEBOX_BENCH_WINDOW"))
	if err != nil {
		t.Fatal(err)
	}
	only, under := os.Getenv("SPIKEBOX_BENCH_ONLY"), os.Getenv("SPIKEBOX_BENCH_LOADS") // what names of variants and of loads begin with; comma-separated
	server, client := testns.Pair(t)
	worker := serve(t, server.NS)
	ask(t, client.NS, server.Addr, worker, loads[0], time.Second) // warm
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LOAD\tARMED\tREQUESTS/S\tCPU A REQUEST\tNS MORE\tP50\tP99\tPAIRS\tLEFT OUT")
	for _, l := range loads {
		for _, v := range variants(t) {
			if !wanted(v.name, only) || !wanted(l.name, under) {
				continue
			}
			var all table
			noisy := 0
			for i := 0; i < pairs; i++ {
				// The order changes from pair to pair, so that a drift favours nobody.
				var f [2]figures
				for k := range 2 {
					var armed *process
					if (i+k)%2 == 1 && v.start != nil {
						armed = v.start(t, server.NS)
					}
					time.Sleep(settle)
					f[(i+k)%2] = l.window(t, client.NS, server.Addr, worker, armed, window)
					if armed != nil {
						armed.stop()
					}
				}
				if max(f[0].foreign, f[1].foreign) > tooBusy {
					noisy++
					continue
				}
				all.add(f[0], f[1])
			}
			row(w, l.name, v.name, all, noisy)
		}
	}
	w.Flush()
}

// table is what pairs of windows gave, a column each.
type table struct{ rate, perCPU, more, p50, p99 []float64 }

func (t *table) add(unarmed, armed figures) {
	t.rate = append(t.rate, armed.rate/unarmed.rate)
	t.perCPU = append(t.perCPU, armed.perCPU/unarmed.perCPU)
	t.more = append(t.more, (armed.perCPU-unarmed.perCPU)*1e9)
	if unarmed.p50 > 0 {
		t.p50 = append(t.p50, armed.p50/unarmed.p50)
		t.p99 = append(t.p99, armed.p99/unarmed.p99)
	}
}

func row(w io.Writer, load, name string, all table, noisy int) {
	if len(all.rate) == 0 {
		fmt.Fprintf(w, "%s\t%s\tnothing: others used more than %.0f %% of the machine in each pair\t\t\t\t\t0\t%d\n", load, name, tooBusy*100, noisy)
		return
	}
	more := bootstrap(all.more)
	fmt.Fprintf(w, "%s\t%s\t%v\t%v\t%+.0f (%+.0f–%+.0f)", load, name, bootstrap(all.rate), bootstrap(all.perCPU), more.median, more.low, more.high)
	if len(all.p50) > 0 {
		fmt.Fprintf(w, "\t%v\t%v", bootstrap(all.p50), bootstrap(all.p99))
	} else {
		fmt.Fprint(w, "\t–\t–")
	}
	fmt.Fprintf(w, "\t%d\t%d\n", len(all.rate), noisy)
}

func wanted(name, only string) bool {
	if only == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(only, ","), func(p string) bool { return strings.HasPrefix(name, p) })
}

// The statistics that the table is made of, on numbers whose answer is known.
func TestBootstrap(t *testing.T) {
	even := make([]float64, 101)
	for i := range even {
		even[i] = float64(i)
	}
	got := bootstrap(even)
	if got.median != 50 || got.low < 30 || got.low >= 50 || got.high <= 50 || got.high > 70 {
		t.Errorf("median of 0 to 100: %v", got)
	}
	if got := bootstrap([]float64{3, 3, 3}); got != (interval{3, 3, 3}) {
		t.Errorf("of equals: %v", got)
	}
}
