//go:build linux

package vital

import (
	"errors"
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

var echoMeter = &Meter{
	ID:  "echo",
	Doc: "how fast this host answers ping",
	Vitals: []Vital{
		{"echo.delay", "s", "longest time from an ICMP echo request's arrival to its reply, within the last second of ticks; " +
			"measured while requests come, from the second on"},
	},
	Variants: []Variant{{Name: "ebpf", Open: openEcho}},
}

// echoQuiet is how long the probe stays attached after the last request: monitoring pings
// once in a minute at the least.
const echoQuiet = 75 * time.Second

// echoCounters are the echo requests that this namespace has received (RFC 4293).
var echoCounters = []string{"Icmp InEchos", "Icmp6InEchos"}

// echoReader attaches the probe while this host is pinged: its programs look at every packet.
type echoReader struct {
	probe    *probe.Echo
	counters *counters // nil where a trigger asks for it always, or nothing tells of requests
	names    [][]string
	asked    []uint64  // requests so far
	last     uint64    // at the tick before
	at       time.Time // when they last moved
	delays   ring.Second[probe.Durations]
	started  bool
}

func openEcho(env Env) (Reader, error) {
	if err := env.refusal("echo"); err != nil {
		return nil, err
	}
	r := &echoReader{probe: env.Probes.Echo, names: [][]string{echoCounters}, asked: make([]uint64, 1)}
	if env.Asked != nil && env.Asked("echo.delay") {
		return r, nil
	}
	if c := env.shared(); c.open() == nil {
		r.counters = c
	}
	return r, nil
}

func (r *echoReader) Read(now time.Time, out []float64) error {
	err := r.watch(now)
	err = errors.Join(err, r.probe.Read(r.delays.Push(probe.Durations{})))
	var all probe.Durations
	for d := range r.delays.All() {
		all.Merge(d)
	}
	if all.Count > 0 { // no reply is no delay of 0
		out[0] = all.Max.Seconds()
	}
	return err
}

// watch attaches the probe when a request has come, and takes it off when none has for long.
func (r *echoReader) watch(now time.Time) error {
	if r.counters == nil {
		return r.probe.Watch(true)
	}
	if err := r.counters.read(now, r.names, r.asked); err != nil {
		return err
	}
	// What was asked before the first tick says nothing about now.
	if r.started && r.asked[0] != r.last {
		r.at = now
	}
	r.last, r.started = r.asked[0], true
	return r.probe.Watch(!r.at.IsZero() && now.Sub(r.at) < echoQuiet)
}

// Close leaves the probe to the recorder.
func (r *echoReader) Close() error {
	if r.counters == nil {
		return nil
	}
	return r.counters.close()
}
