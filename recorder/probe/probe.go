//go:build linux

// Package probe loads the eBPF programs of package bpf, attaches and reads them. All
// lists the probes, one topic each; Open arms what this kernel and these privileges
// allow, and says of each other one why not, in one sentence.
//
// Nothing is pinned: programs and links belong to the process, and the kernel removes
// them when it ends, however it ends.
package probe

import (
	"errors"
	"io"
	"time"

	"github.com/spikebox/spikebox/format"
)

// Probe is one topic that the kernel can tell of.
type Probe struct {
	ID      string
	Doc     string
	Attach  []string // where its programs sit, in libbpf's section names
	Needs   string   // kernel and privileges
	Without string   // what is lost where it cannot be armed
	// open arms it, puts it into its field of s, and gives what disarms it and which of its
	// forms this kernel took.
	open func(s *Set, o Options) (c io.Closer, variant string, err error)
}

// All is every probe, in the order of arming: stacks builds on softirq.
var All = []*Probe{
	&rttProbe,
	&listenersProbe,
	&retransmitProbe,
	&resetProbe,
	&stateProbe,
	&softirqProbe,
	&functionProbe,
	&stacksProbe,
	&dropProbe,
	&echoProbe,
	&responseProbe,
}

// What most probes need.
const tracing = "Linux 5.10 with CONFIG_DEBUG_INFO_BTF; CAP_BPF and CAP_PERFMON"

// Options say what to watch and what is worth an event. The zero value watches every
// namespace with the defaults.
type Options struct {
	// NetNS is the inode of the network namespace whose sockets are watched, as in
	// /proc/self/ns/net; 0 is all. Softirqs and functions belong to the machine.
	NetNS uint32
	// LateRTT is the round-trip time from which a sample is an event; 0: none is.
	LateRTT time.Duration
	// LongSoftirq is the duration from which a softirq is an event; 0: 2 ms.
	LongSoftirq time.Duration
	// StackAge is how old a softirq must be for its stack to be sampled; 0: 1 ms.
	StackAge time.Duration
	// StackPeriod is the time between two looks at each CPU; 0: 1 ms less a little,
	// so that it does not beat with the kernel's own clock.
	StackPeriod time.Duration
}

// Set holds the armed probes; those that could not be armed are nil.
//
// What is read at a tick is read by the Read of its probe, which tells what is new since
// the last Read, takes the maxima out of the kernel's memory, and never waits. So each
// probe has one reader: the meters of package vital read RTT, Listeners, States, Softirqs
// and Echo, package trace reads Events, Functions and Drops. Events.Counts takes nothing
// away and is for all.
type Set struct {
	Results []Result // what became of each probe, in the order of All
	// Names of the reasons of drops and resets; nil where the kernel does not describe its types.
	Names     *ReasonNames
	Events    *Events // of retransmit, reset, drop, rtt, response, softirq and stacks
	RTT       *RTT
	Listeners *Listeners
	States    *States
	Softirqs  *Softirqs
	Functions *Functions
	Stacks    *Stacks
	Drops     *Drops
	Echo      *Echo
	Response  *Response

	hub     hub                  // during Open
	extents *extents             // nil where the kernel does not tell them
	tcp     *tcpPrograms         // of RTT, States and Response; nil before the first of them
	armed   []io.Closer          // in the order of arming
	opened  map[string]io.Closer // the same by their probes
}

// Result is what became of one probe.
type Result struct {
	Probe   *Probe
	Variant string // how it is attached where there are several ways
	Err     error  // nil: armed; else a *Refusal, see Reason
}

// Source is the probe's state for the manifest.
func (r *Result) Source() format.Source {
	s := format.Source{Name: "probe." + r.Probe.ID, State: format.Complete, Variant: r.Variant}
	if r.Err != nil {
		s.State, s.Reason = format.Unsupported, Reason(r.Err)
	}
	return s
}

// Open arms every probe that can be.
func Open(o Options) *Set {
	s := &Set{hub: alone(), opened: map[string]io.Closer{}}
	defer func() { s.hub = hub{} }() // the kernel's types are some MB
	err := s.openEvents()
	s.Names, _ = readReasonNames(s.hub.cache)
	for _, p := range All {
		r := Result{Probe: p, Err: err}
		if err == nil {
			r.Variant, r.Err = s.open(p, o)
		}
		if refusal, ok := errors.AsType[*Refusal](r.Err); ok {
			named := *refusal // the hub's refusal is everyone's
			named.Probe = p.ID
			r.Err = &named
		}
		s.Results = append(s.Results, r)
	}
	if s.Listeners != nil {
		s.Listeners.states = s.States
	}
	return s
}

// openEvents makes what all topics share.
func (s *Set) openEvents() error {
	e, err := openEvents()
	if err != nil {
		return err
	}
	s.Events = e
	s.hub.maps = e.maps
	s.extents, _ = openExtents(s.hub) // without them BPF programs have no names in stacks
	return nil
}

// open arms one probe and notes it.
func (s *Set) open(p *Probe, o Options) (variant string, err error) {
	c, variant, err := p.open(s, o)
	if err != nil {
		return "", err
	}
	s.armed, s.opened[p.ID] = append(s.armed, c), c
	return variant, nil
}

// Refusal is why a probe is not armed, nil where it is.
func (s *Set) Refusal(id string) error {
	for _, r := range s.Results {
		if r.Probe.ID == id {
			return r.Err
		}
	}
	return nil
}

// Close disarms everything, the last armed first.
func (s *Set) Close() error {
	var errs []error
	// Stacks look into the map of softirqs, and everything tells events.
	for i := len(s.armed) - 1; i >= 0; i-- {
		errs = append(errs, s.armed[i].Close())
	}
	s.armed = nil
	if s.Events != nil {
		errs = append(errs, s.Events.Close())
	}
	if s.extents != nil {
		errs = append(errs, s.extents.Close())
	}
	return errors.Join(errs...)
}
