package evidence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

const (
	conntrackMember  = "conntrack.txt"
	conntrackSummary = "conntrack-summary.json"
)

// ConntrackEntry is one line of /proc/net/nf_conntrack.
type ConntrackEntry struct {
	Proto     string // tcp, udp, icmp, …
	State     string // ESTABLISHED, SYN_SENT, …; empty for protocols without one
	Timeout   int64  // s until it goes; -1 where it is not printed
	Src, Dst  netip.Addr
	SrcPort   uint16
	DstPort   uint16
	Unreplied bool // nothing has come back yet
	Assured   bool // not to be dropped early
	Zone      uint32
}

// ParseConntrackEntry reads one line in the form of /proc/net/nf_conntrack, the first
// two words of which conntrack(8) leaves out (net/netfilter/nf_conntrack_standalone.c,
// ct_seq_show, Linux 2.6.20 to 6.18). Only the original direction is taken.
func ParseConntrackEntry(line []byte) (ConntrackEntry, error) {
	e := ConntrackEntry{Timeout: -1}
	fields := bytes.Fields(line)
	if len(fields) > 2 && bytes.HasPrefix(fields[0], []byte("ipv")) {
		fields = fields[2:]
	}
	if len(fields) < 4 {
		return e, fmt.Errorf("%d words, want a protocol and addresses", len(fields))
	}
	e.Proto = string(fields[0])
	for _, f := range fields[2:] {
		if err := e.set(f); err != nil {
			return e, err
		}
	}
	if !e.Src.IsValid() || !e.Dst.IsValid() {
		return e, fmt.Errorf("no src= and dst= in %q", kerneltext.Clip(line))
	}
	return e, nil
}

// set takes one word behind the protocol.
func (e *ConntrackEntry) set(f []byte) (err error) {
	name, value, named := bytes.Cut(f, []byte{'='})
	switch {
	case !named && len(f) > 2 && f[0] == '[':
		e.Unreplied = e.Unreplied || string(f) == "[UNREPLIED]"
		e.Assured = e.Assured || string(f) == "[ASSURED]"
	case !named && f[0] >= '0' && f[0] <= '9':
		if e.Timeout < 0 {
			e.Timeout, err = strconv.ParseInt(string(f), 10, 64)
		}
	case !named:
		e.State = string(f)
	case string(name) == "zone":
		var zone uint64
		zone, err = strconv.ParseUint(string(value), 10, 32)
		e.Zone = uint32(zone)
	default:
		err = e.tuple(string(name), string(value))
	}
	if err != nil {
		return fmt.Errorf("read word %q: %w", kerneltext.Clip(f), err)
	}
	return nil
}

// tuple takes an address or a port of the original direction, which comes first.
func (e *ConntrackEntry) tuple(name, value string) (err error) {
	port := func(to *uint16) error {
		v, err := strconv.ParseUint(value, 10, 16)
		if *to == 0 {
			*to = uint16(v)
		}
		return err
	}
	switch {
	case name == "src" && !e.Src.IsValid():
		e.Src, err = netip.ParseAddr(value)
	case name == "dst" && !e.Dst.IsValid():
		e.Dst, err = netip.ParseAddr(value)
	case name == "sport":
		err = port(&e.SrcPort)
	case name == "dport":
		err = port(&e.DstPort)
	}
	return err
}

// Conntrack is what is in the connection tracking table: conntrack-summary.json
// (SPEC.md), which counts every entry also where the dump was cut.
type Conntrack struct {
	Entries   uint64 `json:"entries"`
	Lines     uint64 `json:"lines"` // in conntrack.txt
	Cut       bool   `json:"cut"`
	Max       uint64 `json:"max"` // net.netfilter.nf_conntrack_max; 0 where it is unknown
	Unreplied uint64 `json:"unreplied"`
	Assured   uint64 `json:"assured"`
	// ByState counts by protocol and state; protocols without states have UNREPLIED,
	// REPLIED and ASSURED.
	ByState map[string]map[string]uint64 `json:"by_state"`
	ByZone  map[string]uint64            `json:"by_zone"`
	// Sources are the original source addresses with the most entries, the largest first.
	Sources []ConntrackSource `json:"top_sources"`
	// SourcesError is by how much their numbers may be too small.
	SourcesError uint64 `json:"top_sources_error"`
}

// ConntrackSource is one address that opens connections.
type ConntrackSource struct {
	Addr    netip.Addr `json:"addr"`
	Entries uint64     `json:"n"`
}

// ParseConntrackSummary reads conntrack-summary.json.
func ParseConntrackSummary(text []byte) (*Conntrack, error) {
	c := &Conntrack{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("read conntrack summary: %w", err)
	}
	return c, nil
}

// maxSources is enough for a verdict that names the worst.
const maxSources = 20

// ParseConntrack sums up conntrack.txt, for where the summary is missing. Memory grows
// with the number of sources.
func ParseConntrack(text []byte) (*Conntrack, error) {
	c := &Conntrack{ByState: map[string]map[string]uint64{}, ByZone: map[string]uint64{}}
	sources := map[netip.Addr]uint64{}
	err := kerneltext.Lines(text, func(_ int, line []byte) error {
		e, err := ParseConntrackEntry(line)
		if err != nil {
			return err
		}
		c.count(&e)
		sources[e.Src]++
		return nil
	})
	for addr, n := range sources {
		c.Sources = append(c.Sources, ConntrackSource{addr, n})
	}
	slices.SortFunc(c.Sources, func(a, b ConntrackSource) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), a.Addr.Compare(b.Addr))
	})
	c.Sources = c.Sources[:min(len(c.Sources), maxSources)]
	return c, err
}

// stateOrStatus is what the recorder's summary counts by.
func (e *ConntrackEntry) stateOrStatus() string {
	switch {
	case e.State != "":
		return e.State
	case e.Assured:
		return "ASSURED"
	case e.Unreplied:
		return "UNREPLIED"
	}
	return "REPLIED"
}

// count adds an entry.
func (c *Conntrack) count(e *ConntrackEntry) {
	states := c.ByState[e.Proto]
	if states == nil {
		states = map[string]uint64{}
		c.ByState[e.Proto] = states
	}
	states[e.stateOrStatus()]++
	c.Entries++
	c.Lines++
	c.ByZone[strconv.FormatUint(uint64(e.Zone), 10)]++
	if e.Unreplied {
		c.Unreplied++
	}
	if e.Assured {
		c.Assured++
	}
}
