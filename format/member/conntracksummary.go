package member

import "net/netip"

// ConntrackSummaryName holds what is in the connection tracking table.
const ConntrackSummaryName = "conntrack-summary.json"

// ConntrackSummary is conntrack-summary.json (SPEC.md, "conntrack-summary.json"), which
// counts every entry also where the dump was cut.
type ConntrackSummary struct {
	Entries uint64 `json:"entries"`
	Lines   uint64 `json:"lines"` // in conntrack.txt
	Cut     bool   `json:"cut"`   // these are fewer
	// Count, Max and Buckets are net.netfilter.nf_conntrack_count, _max and _buckets; nil
	// where they could not be read.
	Count     *uint64 `json:"count,omitempty"`
	Max       *uint64 `json:"max,omitempty"`
	Buckets   *uint64 `json:"buckets,omitempty"`
	Unreplied uint64  `json:"unreplied"`
	Assured   uint64  `json:"assured"`
	Offloaded uint64  `json:"offloaded"`
	// ByState counts by protocol and state; protocols without states have UNREPLIED,
	// REPLIED and ASSURED.
	ByState map[string]map[string]uint64 `json:"by_state"`
	ByZone  map[string]uint64            `json:"by_zone"` // decimal
	// TopSources are the original source addresses with the most entries, the largest first.
	TopSources []ConntrackSource `json:"top_sources"`
	// SourcesError is by how much their numbers may be too small.
	SourcesError uint64 `json:"top_sources_error"`
}

// ConntrackSource is one address that opens connections.
type ConntrackSource struct {
	Addr    netip.Addr `json:"addr"`
	Entries uint64     `json:"n"`
}

// Append appends the whole member.
func (s *ConntrackSummary) Append(b []byte) ([]byte, error) { return appendDocument(b, s) }

// ParseConntrackSummary reads conntrack-summary.json.
func ParseConntrackSummary(text []byte) (*ConntrackSummary, error) {
	return parseDocument[ConntrackSummary](text, "read conntrack summary")
}
