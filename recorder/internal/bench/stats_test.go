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
	only := os.Getenv("SPIKEBOX_BENCH_ONLY") // variants whose names begin so; comma-separated
	server, client := testns.Pair(t)
	worker := serve(t, server.NS)
	ask(t, client.NS, server.Addr, worker, loads[0], time.Second) // warm
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LOAD\tARMED\tREQUESTS/S\tSERVER CPU A REQUEST\tP50\tP99\tPAIRS\tLEFT OUT")
	for _, l := range loads {
		for _, v := range variants(t) {
			if !wanted(v.name, only) {
				continue
			}
			var all [4][]float64
			noisy := 0
			for i := 0; i < pairs; i++ {
				// The order changes from pair to pair, so that a drift favours nobody.
				var f [2]figures
				for k := range 2 {
					armed := (i+k)%2 == 1
					stop := func() {}
					if armed && v.start != nil {
						stop = v.start(t, server.NS).stop
					}
					f[btoi(armed)] = ask(t, client.NS, server.Addr, worker, l, window)
					stop()
				}
				if max(f[0].foreign, f[1].foreign) > tooBusy {
					noisy++
					continue
				}
				for m, pair := range [][2]float64{{f[0].rate, f[1].rate}, {f[0].perCPU, f[1].perCPU}, {f[0].p50, f[1].p50}, {f[0].p99, f[1].p99}} {
					all[m] = append(all[m], pair[1]/pair[0])
				}
			}
			row(w, l.name, v.name, all, noisy)
		}
	}
	w.Flush()
}

func row(w io.Writer, load, name string, all [4][]float64, noisy int) {
	if len(all[0]) == 0 {
		fmt.Fprintf(w, "%s\t%s\tnothing: others used more than %.0f %% of the machine in each pair\t\t\t\t0\t%d\n", load, name, tooBusy*100, noisy)
		return
	}
	fmt.Fprintf(w, "%s\t%s\t%v\t%v\t%v\t%v\t%d\t%d\n", load, name, bootstrap(all[0]), bootstrap(all[1]), bootstrap(all[2]), bootstrap(all[3]), len(all[0]), noisy)
}

func wanted(name, only string) bool {
	if only == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(only, ","), func(p string) bool { return strings.HasPrefix(name, p) })
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
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
