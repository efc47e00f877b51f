//go:build linux

package vital

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
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
	return Variant{Name: "proc", Late: true, Open: func(env Env) (Reader, error) {
		file, err := procfs.Open(env.Root, path)
		if err != nil {
			return nil, err
		}
		return &text{file: file, parse: parser()}, nil
	}}
}

// absent says what it means that a kernel text is not there. Any other error, such as that no more files may be open, means something else.
func absent(err error, means string) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", means, err)
	}
	return err
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

var softnetMeter = &Meter{
	ID:  "softnet",
	Doc: "the per-CPU receive backlog: /proc/net/softnet_stat",
	Vitals: []Vital{
		{"softnet.drops", "1/s", "packets dropped because a CPU's backlog was full (column 2, net.core.netdev_max_backlog)"},
		{"softnet.squeezed", "1/s", "NET_RX rounds ended with work left (column 3, net.core.netdev_budget)"},
	},
	Variants: []Variant{textVariant("proc/net/softnet_stat", softnetParser)},
}

// softnetParser sums over CPUs.
func softnetParser() func(time.Time, []byte, []float64) error {
	var drops, squeezed rate
	return func(now time.Time, content []byte, out []float64) error {
		var dropped, ended uint64
		err := kerneltext.ParseSoftnet(content, func(cpu kerneltext.SoftnetRow) {
			dropped += uint64(cpu.Dropped)
			ended += uint64(cpu.TimeSqueeze)
		})
		if err != nil {
			return err
		}
		out[0], out[1] = drops.add(now, dropped), squeezed.add(now, ended)
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

// nicParser sums over interfaces. One that vanishes resets the sum's rate.
func nicParser() func(time.Time, []byte, []float64) error {
	var drops, errors rate
	return func(now time.Time, content []byte, out []float64) error {
		var dropped, failed uint64
		err := kerneltext.ParseNetDev(content, func(d kerneltext.NetDevRow) {
			// lo drops what a full backlog refuses (net/core/dev.c, enqueue_to_backlog), which
			// softnet.drops counts already.
			if string(d.Name) == "lo" {
				return
			}
			dropped += d.RxDropped + d.TxDropped
			failed += d.RxErrors + d.RxFifo + d.RxFrame + d.TxErrors + d.TxFifo + d.TxCarrier
		})
		if err != nil {
			return err
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

// cpuParser reads the first line, the sum over CPUs. Guests' time is left out of the
// whole: user time has it already.
func cpuParser() func(time.Time, []byte, []float64) error {
	var softirq, steal, all rate
	irq, stolen := slices.Index(kerneltext.CPUModes[:], "softirq"), slices.Index(kerneltext.CPUModes[:], "steal")
	return func(now time.Time, content []byte, out []float64) error {
		line, _, _ := bytes.Cut(content, []byte{'\n'})
		cpu, err := kerneltext.ParseStatLine(line)
		if err != nil || string(cpu.Name) != "cpu" || cpu.Modes <= stolen {
			return fmt.Errorf("line %q is not the sum over CPUs", line)
		}
		var total uint64
		for _, ticks := range cpu.Ticks[:stolen+1] {
			total += ticks
		}
		whole := all.add(now, total)
		out[0], out[1] = ratio(softirq.add(now, cpu.Ticks[irq]), whole), ratio(steal.add(now, cpu.Ticks[stolen]), whole)
		return nil
	}
}
