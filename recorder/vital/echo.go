//go:build linux

package vital

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
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

// echoReader attaches the probe while this host is pinged. Its programs look at every
// packet; the kernel's counters of requests cost two short texts a tick.
type echoReader struct {
	probe   *probe.Echo
	snmp    *procfs.File
	snmp6   *procfs.File // nil without IPv6
	always  bool         // a trigger asks for it, or nothing tells of requests
	asked   uint64       // requests so far
	at      time.Time    // when they last moved
	delays  ring.Second[probe.Durations]
	started bool
}

func openEcho(env Env) (Reader, error) {
	if err := env.refusal("echo"); err != nil {
		return nil, err
	}
	r := &echoReader{probe: env.Probes.Echo, always: env.Asked != nil && env.Asked("echo.delay")}
	var err error
	if r.snmp, err = procfs.Open(env.Root, "proc/net/snmp"); err != nil {
		r.always = true
	}
	r.snmp6, _ = procfs.Open(env.Root, "proc/net/snmp6") // a kernel without IPv6 gets no request of it
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
	if r.always {
		return r.probe.Watch(true)
	}
	asked, err := r.requests()
	if err != nil {
		return err
	}
	// What was asked before the first tick says nothing about now.
	if r.started && asked != r.asked {
		r.at = now
	}
	r.asked, r.started = asked, true
	return r.probe.Watch(!r.at.IsZero() && now.Sub(r.at) < echoQuiet)
}

// requests counts the echo requests that this namespace has received (RFC 4293: InEchos of
// Icmp; Icmp6InEchos).
func (r *echoReader) requests() (n uint64, err error) {
	text, err := r.snmp.Read()
	if err != nil {
		return 0, err
	}
	err = kerneltext.ParseSNMP(text, func(row kerneltext.SNMPRow) {
		if string(row.Group) == "Icmp" && string(row.Name) == "InEchos" {
			n += uint64(row.Value)
		}
	})
	if err != nil {
		return 0, fmt.Errorf("parse %s: %w", r.snmp.Name(), err)
	}
	if r.snmp6 == nil {
		return n, nil
	}
	if text, err = r.snmp6.Read(); err != nil {
		return 0, err
	}
	// One line of a hundred is wanted, four times a second: the others are not parsed.
	const name = "Icmp6InEchos "
	if _, line, ok := bytes.Cut(text, []byte(name)); ok {
		line, _, _ = bytes.Cut(line, []byte{'\n'})
		v, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parse %s: %w", r.snmp6.Name(), err)
		}
		n += v
	}
	return n, nil
}

// Close leaves the probe to the recorder.
func (r *echoReader) Close() error {
	var errs []error
	for _, f := range []*procfs.File{r.snmp, r.snmp6} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
