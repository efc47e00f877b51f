package check

import (
	"fmt"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var needConntrack = needText("proc/net/stat/nf_conntrack", "no connection tracking is loaded")

// conntrackTable is how full connection tracking was.
type conntrackTable struct {
	max     float64 // net.netfilter.nf_conntrack_max, 0 where it is not known
	most    float64 // entries, at most within the window
	at      int64   // when that was
	entries *timeline.Series
}

// conntrackTable asks the settings and the count of each second.
func (c *Case) conntrackTable() conntrackTable {
	t := conntrackTable{entries: c.Lines.Get("conntrack.count")}
	if v, ok := c.Evidence.Settings.Int("net/netfilter/nf_conntrack_max", 0); ok {
		t.max = float64(v)
	} else if s := c.Evidence.Conntrack; s != nil && s.Max != nil {
		t.max = float64(*s.Max)
	}
	t.most, t.at, _ = t.entries.Max(c.Window)
	if s := c.Evidence.Conntrack; s != nil && s.Count != nil && float64(*s.Count) > t.most {
		t.most, t.at = float64(*s.Count), c.Window.End
	}
	return t
}

// fill is the largest part of the table that was taken, 0 where its size is not known.
func (t conntrackTable) fill() float64 {
	if t.max <= 0 {
		return 0
	}
	return t.most / t.max
}

// of says how full it was: 262,144 of 262,144 entries (100 %).
func (t conntrackTable) of() string {
	if t.max <= 0 {
		return unit.Number(t.most) + " entries"
	}
	return fmt.Sprintf("%s of %s entries (%s)", unit.Number(t.most), unit.Number(t.max), unit.Percent(t.fill()))
}

// items are the settings and the count as evidence.
func (c *Case) conntrackItems() (items []Item) {
	if item, ok := c.levelItem("conntrack.count", c.Window); ok {
		items = append(items, item)
	}
	if item, ok := c.settingItem("net/netfilter/nf_conntrack_max"); ok {
		items = append(items, item)
	}
	if proto, state, n := c.commonest(); n > 0 {
		items = append(items, Item{Kind: "socket", Member: member.ConntrackSummaryName, Where: "by_state." + proto + "." + state,
			Value: val(float64(n)), Of: val(float64(c.Evidence.Conntrack.Entries)), Unit: "entries"})
	}
	if s := c.Evidence.Conntrack; s != nil && len(s.TopSources) > 0 {
		items = append(items, topSource(s, 0))
	}
	return items
}

// topSource is the evidence of how many entries one of the sources with the most has.
func topSource(s *member.ConntrackSummary, i int) Item {
	return Item{Kind: "socket", Member: member.ConntrackSummaryName, Where: "top_sources[" + strconv.Itoa(i) + "]",
		Value: val(float64(s.TopSources[i].Entries)), Of: val(float64(s.Entries)), Unit: "entries", Text: s.TopSources[i].Addr.String()}
}

// commonest is the protocol and state that most entries have at the end.
func (c *Case) commonest() (proto, state string, most uint64) {
	if c.Evidence.Conntrack == nil {
		return "", "", 0
	}
	for p, states := range c.Evidence.Conntrack.ByState {
		for s, n := range states {
			if n > most || n == most && p+s < proto+state {
				proto, state, most = p, s, n
			}
		}
	}
	return proto, state, most
}

// entryBytes is what one entry takes of the kernel's memory: struct nf_conn of 256 to 320 bytes with its
// extensions, and its place in the hash (net/netfilter/nf_conntrack_core.c, nf_conntrack_init_start, Linux 6.18).
const entryBytes = 328

// conntrackRemedies proposes a table that holds twice what was there, as far as memory allows, and a timeout
// where old connections fill it.
func (c *Case) conntrackRemedies(t conntrackTable) (all []Remedy) {
	if proto, state, n := c.commonest(); proto == "tcp" && state == "ESTABLISHED" && 2*n > c.Evidence.Conntrack.Entries {
		// RFC 5382, REQ-5: an established connection must be kept for 2 h 4 min at least.
		const least = 7440
		if now, text := c.setting("net.netfilter.nf_conntrack_tcp_timeout_established"); now > least {
			all = append(all, Remedy{
				What: fmt.Sprintf("Forget connections that have been silent for long: %s of the entries are ESTABLISHED, and one whose end was lost stays for %s. A connection that is silent for longer than the new time is then cut off.",
					unit.Percent(float64(n)/float64(c.Evidence.Conntrack.Entries)), unit.Duration(seconds(float64(now)))),
				Setting: "net.netfilter.nf_conntrack_tcp_timeout_established", Current: text, Proposed: strconv.Itoa(least), Ref: "RFC 5382, REQ-5"})
		}
	}
	if t.max <= 0 {
		return all
	}
	proposed := pow2(2 * max(t.most, t.max))
	cost := proposed * entryBytes
	ram := uint64(0)
	if m := c.Evidence.Manifest; m != nil {
		ram = m.Host.MemoryBytes
	}
	if ram > 0 && uint64(cost) > ram/8 { // what the kernel holds cannot be swapped out
		return append(all, Remedy{What: fmt.Sprintf("Do not track what needs no tracking (nft notrack, a stateless rule for the busiest service): a table of %s entries would take %s of the %s of memory.",
			unit.Count(proposed), unit.Size(cost), unit.Size(int64(ram)))})
	}
	return append(all, Remedy{
		What:    fmt.Sprintf("Let the table hold twice as much: %s entries of some %d bytes are at most %s of kernel memory. Set nf_conntrack_buckets to the same number, or chains become long.", unit.Count(proposed), entryBytes, unit.Size(cost)),
		Setting: "net.netfilter.nf_conntrack_max", Current: strconv.FormatFloat(t.max, 'f', -1, 64), Proposed: strconv.FormatInt(proposed, 10),
		Ref: "Documentation/networking/nf_conntrack-sysctl.rst"})
}
