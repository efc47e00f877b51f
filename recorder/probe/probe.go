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
	"slices"
	"time"
)

// Probe is one topic that the kernel can tell of.
type Probe struct {
	ID      string
	Doc     string
	Attach  []string // where its programs sit, in libbpf's section names
	Needs   string   // kernel and privileges
	Without string   // what is lost where it cannot be armed
	// open arms it and notes it in s.
	open func(s *Set, o Options) (armed, error)
}

// All is every probe, in the order of arming: stacks and function build on softirq.
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
type Set struct {
	// Names of the reasons of drops and resets; nil where the kernel does not describe its types.
	Names     *ReasonNames
	Events    *Events // of retransmit, reset, drop, rtt, softirq and stacks
	RTT       *RTT
	Listeners *Listeners
	States    *States
	Softirqs  *Softirqs
	Functions *Functions
	Stacks    *Stacks
	Drops     *Drops
	Echo      *Echo

	hub   hub     // during Open
	armed []armed // in the order of arming
}

// armed is a probe in the kernel.
type armed struct {
	closer  io.Closer
	loaded  []*loaded
	variant string // which of its forms this kernel took
	probe   *Probe
	forget  func() // takes it out of the Set
}

// arm is what a probe's open returns: how to close it and to take it out of the Set.
func arm(c io.Closer, forget func(), variant string, l ...*loaded) armed {
	return armed{closer: c, forget: forget, variant: variant, loaded: l}
}

// note puts p in its field of the Set, and returns how to take it out.
func note[P any](field **P, p *P) (forget func()) {
	*field = p
	return func() { *field = nil }
}

// Result is what became of one probe.
type Result struct {
	Probe   *Probe
	Variant string // how it is attached where there are several ways
	Err     error  // nil: armed; else a *Refusal, see Reason
}

// Open arms every probe that can be. Results are in the order of All.
func Open(o Options) (*Set, []Result) {
	s := &Set{hub: alone()}
	defer func() { s.hub = hub{} }() // the kernel's types are some MB
	err := s.openEvents()
	s.Names, _ = readReasonNames(s.hub.cache)
	results := make([]Result, 0, len(All))
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
		results = append(results, r)
	}
	return s, results
}

// openEvents makes what all topics share.
func (s *Set) openEvents() error {
	e, err := openEvents()
	if err != nil {
		return err
	}
	s.Events = e
	s.hub.maps = e.maps
	return nil
}

// open arms one probe and notes it.
func (s *Set) open(p *Probe, o Options) (variant string, err error) {
	a, err := p.open(s, o)
	if err != nil {
		return "", err
	}
	a.probe = p
	s.armed = append(s.armed, a)
	return a.variant, nil
}

// Disarm takes one probe out of the kernel, to save its cost; its field becomes nil. A
// probe that is not armed is left alone. Without softirq, stacks tells nothing more.
func (s *Set) Disarm(p *Probe) error {
	for i, a := range s.armed {
		if a.probe == p {
			s.armed = slices.Delete(s.armed, i, i+1)
			a.forget()
			return a.closer.Close()
		}
	}
	return nil
}

// Close disarms everything, the last armed first.
func (s *Set) Close() error {
	var errs []error
	for i := len(s.armed) - 1; i >= 0; i-- {
		errs = append(errs, s.armed[i].closer.Close())
	}
	s.armed = nil
	if s.Events != nil {
		errs = append(errs, s.Events.Close())
	}
	return errors.Join(errs...)
}
