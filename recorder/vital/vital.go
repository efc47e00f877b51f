//go:build linux

// Package vital measures, every tick, the numbers that triggers watch. A meter reads
// one thing of the kernel's and gives the vitals that follow from it, by the best
// variant that this kernel and these privileges allow.
//
// A new vital is a row in its meter's literal; a new meter is one file here and one
// line in Meters.
package vital

import (
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

// Vital is one number that is measured every tick.
type Vital struct {
	Name string // rtt.p99
	Unit string // s, 1, 1/s, ratio, B
	Doc  string // one line, with the kernel's own name of what it counts
}

// Meter gives the vitals that come from one reading.
type Meter struct {
	ID       string
	Doc      string
	Vitals   []Vital
	Variants []Variant // best first; the first that opens is used
}

// Variant is one way to measure a meter's vitals.
type Variant struct {
	Name string // ebpf, sock_diag, proc
	Lack string // what it cannot see that the first variant can; empty for the first
	// Late says that what it needs may come while the recorder is armed, as the files of a
	// module that is loaded; it is tried again then. sock_diag is not: where it is missing, each
	// question would have the kernel look for its module (net/core/sock_diag.c, request_module).
	Late bool
	Open func(Env) (Reader, error)
}

// Env is what variants need to know of the recorder.
type Env struct {
	Root      string          // of /proc and /sys: "/", or a fixture tree
	Probes    *probe.Set      // those that are armed; nil: none was tried
	Listeners *ring.Listeners // where the listeners meter keeps each listener's queues; nil: nowhere
	// Asked says whether a trigger looks at a vital; nil: none does.
	Asked func(vital string) bool
	// Softirq is handed what the softirq meter reads of each CPU and vector; nil: nobody.
	Softirq func(cpu, vector int, d *probe.Durations)
	// Peers is told of the probes' events by whoever reads them; nil: nobody does.
	Peers *Peers
	// Passing is asked for what the host forwards; nil: nobody sees that.
	Passing Passing
	// Through is asked each tick how connections fare that the host forwards; nil: nobody sees that.
	Through Through

	counters *counters // that the board's meters share
}

// shared gives the counters of the board's meters, and of a meter that is read alone its own.
func (e Env) shared() *counters {
	if e.counters == nil {
		return newCounters(e.Root)
	}
	return e.counters
}

// Reader is an open variant.
type Reader interface {
	// Read puts this tick's values into out, one for each of the meter's Vitals in
	// their order. out arrives as NaN, and what was not measured stays so.
	Read(now time.Time, out []float64) error
	Close() error
}

// Meters is every meter. Open makes the columns of the vitals in this order, and of
// vitals.csv with them; whoever wants a vital finds it in Board.Columns or by its name.
var Meters = []*Meter{
	rttMeter,
	responseMeter,
	waitingMeter,
	silenceMeter,
	listenerMeter,
	stateMeter,
	portMeter,
	tcpMeter,
	eventMeter,
	stalledMeter,
	losingMeter,
	filteredMeter,
	passingMeter,
	throughMeter,
	softirqMeter,
	echoMeter,
	udpMeter,
	sockstatMeter,
	conntrackMeter,
	softnetMeter,
	nicMeter,
	linkMeter,
	cpuMeter,
	pressureMeter,
	neighbourMeter,
	conflictMeter,
}

// Units gives every vital's unit by its name, for package trigger's parser.
func Units() map[string]string {
	units := map[string]string{}
	for _, m := range Meters {
		for _, v := range m.Vitals {
			units[v.Name] = v.Unit
		}
	}
	return units
}
