// Package evidence turns a bundle or bare captures into typed values: numbers over time,
// sockets, log lines, settings, and what handshake and rtt make of the packets. Reading
// and parsing are apart: a parser takes bytes and gives rows, and whatever of a broken
// text can be read stays evidence.
package evidence

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/format/member"
)

// Evidence is everything that the analyzer knows about an incident.
type Evidence struct {
	Inputs []Input
	// Manifest is the bundle's, nil where only captures were given.
	Manifest   *format.Manifest
	Columns    column.Columns
	Sockets    []member.Socket // of TCP
	UDPSockets []member.Socket // with datagrams that nobody had read
	Queues     []member.Queue  // of listeners, tick by tick
	Clocks     []member.Clocks // their readings; none in a bundle that tells of them in the manifest only
	Log        []member.LogLine
	Events     []member.Event
	Drops      []member.Drop
	Stacks     []*Stacks                // by vector and CPU
	Conntrack  *member.ConntrackSummary // nil without a dump
	// Translations counts entries of the dump by what was translated, of those that were.
	Translations map[Translation]uint64
	Processes    []member.ProcessUse
	Netfilter    *member.Netfilter           // nil where it was not read
	NICs         map[string]*member.NIC      // settings, by interface
	Bonds        map[string]*kerneltext.Bond // as they were last, by name
	Routes       []member.Route              // nil where they were not read
	Neighbours   []member.Neighbour          // likewise
	Settings     Settings
	Own          map[netip.Addr]bool   // this host's addresses; empty where the bundle does not list them
	OwnAt        map[netip.Addr]string // the interface that each is on
	InUse        map[netip.Addr]bool   // those that the kernel found to be another's, and does not use
	Packets      *Packets              // nil where no input holds packets
	Requests     *Requests             // nil where no log was given
	// Damage says what the bundle has lost since it was written: it is broken, and
	// what is whole was analysed.
	Damage []error
	// Partial says which texts could not be read to their end, or not kept whole.
	Partial Partials

	text     bytes.Buffer // scratch: the text that is being read
	settings int          // bytes of Settings
	latency  func(*member.Latency)
}

// Input is one file that was analysed.
type Input struct {
	Path string `json:"path"`
	Kind string `json:"kind"` // bundle, capture
	Once bool   `json:"-"`    // it came through a pipe, and cannot be read again
}

// Window is the span of time that the evidence is about, in Unix ns: the bundle's
// window, or that of the packets.
func (e *Evidence) Window() (start, end int64) {
	if e.Manifest != nil {
		return e.Manifest.Window.Start.UnixNano(), e.Manifest.Window.End.UnixNano()
	}
	if e.Packets != nil {
		return e.Packets.First, e.Packets.Last
	}
	return 0, 0
}

// Source gives what the manifest says about a source; ok is false without a manifest
// or where it does not name the source.
func (e *Evidence) Source(name string) (s format.Source, ok bool) {
	if e.Manifest == nil {
		return s, false
	}
	for _, s := range e.Manifest.Sources {
		if s.Name == name {
			return s, true
		}
	}
	return s, false
}

// Listener gives the listening socket that matches, as it was when the trigger fired
// where that is known. A socket bound to one address is preferred to one bound to all.
func (e *Evidence) Listener(matches func(s *member.Socket) bool) *member.Socket {
	var best *member.Socket
	rank := func(s *member.Socket) (r int) {
		if s.At == member.AtTrigger {
			r++
		}
		if !s.Local.IsUnspecified() {
			r += 2
		}
		return r
	}
	for i := range e.Sockets {
		s := &e.Sockets[i]
		// Of several at one address (SO_REUSEPORT) the one at which most wait.
		if s.Listening() && matches(s) && (best == nil || rank(s) > rank(best) || rank(s) == rank(best) && s.RecvQ > best.RecvQ) {
			best = s
		}
	}
	return best
}

// Partial is one member that could not be read to its end, or of which not all is kept.
type Partial struct {
	Member  string
	Err     error
	Bounded bool // the member is well, and has more than memory is had for
}

// Partials collects what could not be read. Their number is bounded: a hostile bundle
// holds a million members.
type Partials struct {
	List []Partial
	More int // beyond those listed
}

// Add takes a member that could not be read to its end.
func (p *Partials) Add(member string, err error) { p.add(Partial{Member: member, Err: err}) }

// AddBounded takes one of which not all is kept.
func (p *Partials) AddBounded(member string, err error) { p.add(Partial{member, err, true}) }

// add keeps an entry while there is room, and otherwise counts it.
func (p *Partials) add(entry Partial) {
	const most = 50
	if len(p.List) < most {
		p.List = append(p.List, entry)
		return
	}
	p.More++
}

// Error gives the entry as a sentence.
func (p Partial) Error() string { return fmt.Sprintf("read member %q: %v", p.Member, p.Err) }

// Unix gives a time of the evidence in the form in which people read it.
func Unix(ns int64) time.Time { return time.Unix(0, ns).UTC() }
