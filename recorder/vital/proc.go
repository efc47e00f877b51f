//go:build linux

package vital

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

// text is a Reader over one kernel text that is kept open. parse gets the text and
// puts the tick's values into out; the state of its rates lives in its closure.
type text struct {
	file  *procfs.File
	parse func(now time.Time, text []byte, out []float64) error
}

// textVariant is the variant of a meter that reads one file below /proc.
func textVariant(path string, parser func() func(time.Time, []byte, []float64) error) Variant {
	return Variant{Name: "proc", Open: func(env Env) (Reader, error) {
		file, err := procfs.Open(env.Root, path)
		if err != nil {
			return nil, err
		}
		return &text{file: file, parse: parser()}, nil
	}}
}

func (r *text) Read(now time.Time, out []float64) error {
	content, err := r.file.Read()
	if err != nil {
		return err
	}
	if err := r.parse(now, content, out); err != nil {
		return fmt.Errorf("parse %s: %w", r.file.Name(), err)
	}
	return nil
}

func (r *text) Close() error { return r.file.Close() }

// columns reads up to len(out) numbers of a line into out and says how many there were.
func columns(line []byte, number func([]byte) uint64, out []uint64) int {
	n := 0
	for len(line) > 0 && n < len(out) {
		var word []byte
		if word, line = procfs.Word(line); len(word) > 0 {
			out[n] = number(word)
			n++
		}
	}
	return n
}

var softnetMeter = &Meter{
	ID:  "softnet",
	Doc: "the per-CPU receive backlog: /proc/net/softnet_stat",
	Vitals: []Vital{
		{"softnet.drops", "1/s", "packets dropped because a CPU's backlog was full (column 2, net.core.netdev_max_backlog)"},
		{"softnet.squeezed", "1/s", "NET_RX rounds ended with work left (column 3, net.core.netdev_budget)"},
	},
	Variants: []Variant{textVariant("proc/net/softnet_stat", softnetParser)},
}

// softnetParser sums columns 2 and 3 over CPUs (net/core/net-procfs.c, softnet_seq_show).
func softnetParser() func(time.Time, []byte, []float64) error {
	var drops, squeezed rate
	return func(now time.Time, content []byte, out []float64) error {
		var sum [3]uint64
		for len(content) > 0 {
			var line []byte
			line, content = procfs.Line(content)
			var cpu [3]uint64
			if columns(line, procfs.Hex, cpu[:]) < 3 {
				return fmt.Errorf("line %q has fewer than 3 columns", line)
			}
			sum[1] += cpu[1]
			sum[2] += cpu[2]
		}
		out[0], out[1] = drops.add(now, sum[1]), squeezed.add(now, sum[2])
		return nil
	}
}

var nicMeter = &Meter{
	ID:  "nic",
	Doc: "interfaces' drops and errors, loopback left out: /proc/net/dev",
	Vitals: []Vital{
		{"nic.drops", "1/s", "packets that interfaces dropped, received and sent"},
		{"nic.errors", "1/s", "errors, FIFO overruns, frame and carrier errors of interfaces"},
	},
	Variants: []Variant{textVariant("proc/net/dev", nicParser)},
}

// nicParser sums over interfaces (net/core/net-procfs.c, dev_seq_printf_stats): bytes
// packets errs drop fifo frame compressed multicast, then bytes packets errs drop
// fifo colls carrier compressed. An interface that vanishes resets the sum's rate.
func nicParser() func(time.Time, []byte, []float64) error {
	var drops, errors rate
	return func(now time.Time, content []byte, out []float64) error {
		var dropped, failed uint64
		for len(content) > 0 {
			var line []byte
			line, content = procfs.Line(content)
			name, stats, ok := bytes.Cut(line, []byte(":"))
			if !ok || string(bytes.TrimSpace(name)) == "lo" {
				continue
			}
			var c [16]uint64
			if columns(stats, procfs.Uint, c[:]) < 16 {
				return fmt.Errorf("line %q has fewer than 16 columns", line)
			}
			dropped += c[3] + c[11]
			failed += c[2] + c[4] + c[5] + c[10] + c[12] + c[14]
		}
		out[0], out[1] = drops.add(now, dropped), errors.add(now, failed)
		return nil
	}
}

var cpuMeter = &Meter{
	ID:  "cpu",
	Doc: "where the CPUs' time goes: /proc/stat",
	Vitals: []Vital{
		{"cpu.softirq", "ratio", "softirq time, of all CPUs' time"},
		{"cpu.steal", "ratio", "time that the hypervisor took, of all CPUs' time"},
	},
	Variants: []Variant{textVariant("proc/stat", cpuParser)},
}

// cpuParser reads the first line (fs/proc/stat.c, show_stat): cpu user nice system
// idle iowait irq softirq steal guest guest_nice; guest is counted in user already.
func cpuParser() func(time.Time, []byte, []float64) error {
	var softirq, steal, all rate
	return func(now time.Time, content []byte, out []float64) error {
		line, _ := procfs.Line(content)
		rest, ok := bytes.CutPrefix(line, []byte("cpu "))
		var c [8]uint64
		if !ok || columns(rest, procfs.Uint, c[:]) < 8 {
			return fmt.Errorf("line %q is not the sum over CPUs", line)
		}
		var total uint64
		for _, v := range c {
			total += v
		}
		whole := all.add(now, total)
		out[0], out[1] = ratio(softirq.add(now, c[6]), whole), ratio(steal.add(now, c[7]), whole)
		return nil
	}
}

var sockstatMeter = &Meter{
	ID:  "sockstat",
	Doc: "memory of TCP sockets, orphans and TIME_WAIT: /proc/net/sockstat",
	Vitals: []Vital{
		{"tcp.mem", "B", "memory of all TCP sockets' buffers, in whole pages (net.ipv4.tcp_mem limits it)"},
		{"tcp.orphans", "1", "sockets without a process (net.ipv4.tcp_max_orphans limits them)"},
		{"tcp.time_wait", "1", "sockets in TIME_WAIT (net.ipv4.tcp_max_tw_buckets limits them)"},
	},
	Variants: []Variant{textVariant("proc/net/sockstat", sockstatParser)},
}

// sockstatParser reads "TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 150" (net/ipv4/proc.c,
// sockstat_seq_show); mem counts pages.
func sockstatParser() func(time.Time, []byte, []float64) error {
	page := float64(os.Getpagesize())
	return func(_ time.Time, content []byte, out []float64) error {
		out[0] = sockstatTCP(content, "mem") * page
		out[1] = sockstatTCP(content, "orphan")
		out[2] = sockstatTCP(content, "tw")
		return nil
	}
}

// sockstatTCP gives a figure of the TCP line, NaN where it has none.
func sockstatTCP(content []byte, figure string) float64 {
	for len(content) > 0 {
		var line []byte
		line, content = procfs.Line(content)
		rest, ok := bytes.CutPrefix(line, []byte("TCP:"))
		for ok && len(rest) > 0 {
			var key, value []byte
			key, rest = procfs.Word(rest)
			value, rest = procfs.Word(rest)
			if string(key) == figure {
				return float64(procfs.Uint(value))
			}
		}
	}
	return math.NaN()
}
