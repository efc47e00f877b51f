package story

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/listing"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// Table is rows to sort and filter.
type Table struct {
	Name    string // of its place in the page
	Title   string
	Columns []Column
	Rows    [][]Cell
	Left    int // rows that are not shown
	Note    string
}

// Column heads a column.
type Column struct {
	Name   string
	Number bool // its cells are numbers: set at the right, and sorted by their value
}

// Cell is one value, and what it is sorted by.
type Cell struct {
	Text string
	Sort float64 // of a number
}

const (
	// mostRows bounds the rows of a table: beyond, a page is slow and nobody reads.
	mostRows = 150
	// longestCell is how much of a text a cell shows, in runes.
	longestCell = 200
)

// tables lists connections, listeners, processes, settings and where everything came from.
func (t *teller) tables() (all []Table) {
	for _, table := range []*Table{t.placeTable(), t.requestTable(), t.flowTable(), t.listenerTable(), t.processTable(), t.settingTable(), t.sourceTable()} {
		if table != nil && len(table.Rows) > 0 {
			if n := len(table.Rows); n > mostRows {
				table.Rows, table.Left = table.Rows[:mostRows], table.Left+n-mostRows
			}
			table.shed()
			all = append(all, *table)
		}
	}
	return all
}

// shed takes away the columns in which no row says anything, as what sources lost where none did.
func (t *Table) shed() {
	for i := len(t.Columns) - 1; i >= 0; i-- {
		if slices.ContainsFunc(t.Rows, func(row []Cell) bool { return row[i].Text != "" }) {
			continue
		}
		t.Columns = slices.Delete(t.Columns, i, i+1)
		for r := range t.Rows {
			t.Rows[r] = slices.Delete(t.Rows[r], i, i+1)
		}
	}
}

func word(s string) Cell {
	if r := []rune(s); len(r) > longestCell {
		s = string(r[:longestCell]) + "…"
	}
	return Cell{Text: s}
}

func count[N int | uint32 | uint64](n N) Cell {
	return Cell{Text: unit.Count(uint64(n)), Sort: float64(n)}
}

// millis is a time in ms; nothing where it is not known.
func millis(ms float64) Cell {
	if ms <= 0 {
		return Cell{Sort: -1}
	}
	return Cell{Text: unit.Duration(time.Duration(ms * 1e6)), Sort: ms}
}

// requestTable lists the slowest requests of the logs.
func (t *teller) requestTable() *Table {
	all := t.Doc.Requests
	if all == nil || len(all.Slowest) == 0 {
		return nil
	}
	table := &Table{Name: "requests", Title: "Slowest requests in the servers' logs", Note: "Of those that were going on within the window. Connect, header and response begin when the server begins to connect to its upstream. A connection stands where the packets show it.",
		Columns: []Column{{"Answered", false}, {"Client", false}, {"Request", false}, {"Status", true}, {"Took", true}, {"Queue", true}, {"Connect", true}, {"Header", true}, {"Response", true}, {"Connection", false}, {"Line", true}}}
	for i := range all.Slowest {
		r := &all.Slowest[i]
		part := func(ms *float64) Cell {
			if ms == nil {
				return Cell{Sort: -1}
			}
			return Cell{Text: unit.Duration(time.Duration(*ms * 1e6)), Sort: *ms}
		}
		connection := ""
		if c := r.Connection; c != nil {
			connection = fmt.Sprintf("flow %d, to %v", c.Flow, c.Server)
		}
		table.Rows = append(table.Rows, []Cell{word(words.Clock(r.End)), word(r.Client), word(r.Request), {strconv.Itoa(r.Status), float64(r.Status)},
			part(&r.Took), part(r.Queue), part(r.Connect), part(r.Header), part(r.Response), word(connection), count(r.Line)})
	}
	table.Left = int(all.Took.N) - len(all.Slowest)
	return table
}

// flowTable lists the connections that show most.
func (t *teller) flowTable() *Table {
	rows := t.Flows.worst()
	if len(rows) == 0 {
		return nil
	}
	table := &Table{Name: "connections", Title: "Connections that show most", Note: "By repeated SYNs and SYN-ACKs, segments sent again, closed windows, connect time, round trips, answers and bytes. Time to connect is from the first SYN to the client's ACK."}
	for _, name := range []string{"Client", "Server"} {
		table.Columns = append(table.Columns, Column{name, false})
	}
	for _, name := range []string{"Connect", "SYN again", "SYN-ACK again", "Sent again", "Timeouts", "Closed windows", "RTT p99", "Answer p99", "Bytes"} {
		table.Columns = append(table.Columns, Column{name, true})
	}
	table.Columns = append(table.Columns, Column{"End", false})
	for _, r := range rows {
		table.Rows = append(table.Rows, flowCells(r))
	}
	if n := int(t.Flows.all) - len(rows); n > 0 {
		table.Left = n
	}
	return table
}

func flowCells(r *listing.Row) []Cell {
	connect, asked := Cell{Sort: -1}, 0.0 // ms from the first SYN to the last
	if n := len(r.SYNOffsets); n > 0 {
		asked = r.SYNOffsets[n-1] * 1e3
	}
	switch {
	case r.HandshakeRTT != nil: // of the SYN that was answered: the last one
		connect = millis(asked + *r.HandshakeRTT)
	case asked > 0:
		connect = Cell{Text: "over " + unit.Duration(time.Duration(asked*1e6)), Sort: asked}
	}
	return []Cell{
		word(rowEnds(r).client.String()), word(rowEnds(r).server.String()), connect,
		count(r.SYNRetransmits), count(r.SYNACKRetransmits), count(r.C2S.Retransmits + r.S2C.Retransmits),
		count(r.C2S.RetransmitsTimeout + r.S2C.RetransmitsTimeout), count(r.C2S.ZeroWindows + r.S2C.ZeroWindows),
		millis(max(r.C2S.RTT.P99, r.S2C.RTT.P99)), millis(r.S2C.Think.P99), count(r.C2S.Bytes + r.S2C.Bytes), word(r.End),
	}
}

// listenerTable lists the listening sockets, the fullest first.
func (t *teller) listenerTable() *Table {
	most := map[netip.AddrPort]uint32{}
	for i := range t.Case.Evidence.Queues {
		q := &t.Case.Evidence.Queues[i]
		most[q.Local] = max(most[q.Local], q.AcceptQueue)
	}
	table := &Table{Name: "listeners", Title: "Listeners", Columns: []Column{
		{"Listener", false}, {"Process", false}, {"Most waiting", true}, {"At the trigger", true}, {"At the end", true}, {"Room", true},
	}}
	type entry struct {
		at       netip.AddrPort
		process  string
		then     Cell
		end      Cell
		room     uint32
		most     uint32
		fullness float64
	}
	by := map[netip.AddrPort]*entry{}
	var list []*entry
	for i := range t.Case.Evidence.Sockets {
		s := &t.Case.Evidence.Sockets[i]
		if !s.Listening() {
			continue
		}
		at := netip.AddrPortFrom(s.Local, s.LocalPort)
		e := by[at]
		if e == nil {
			e = &entry{at: at, then: Cell{Sort: -1}, end: Cell{Sort: -1}}
			by[at] = e
			list = append(list, e)
		}
		e.process, e.room = owners(s), s.SendQ
		e.most = max(most[at], s.RecvQ, e.most)
		if s.At == member.AtTrigger {
			e.then = count(s.RecvQ)
		} else {
			e.end = count(s.RecvQ)
		}
		e.fullness = float64(e.most) / float64(max(1, e.room))
	}
	slices.SortStableFunc(list, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.fullness, a.fullness), a.at.Compare(b.at))
	})
	for _, e := range list {
		table.Rows = append(table.Rows, []Cell{word(subject.Listener{Addr: e.at}.String()), word(e.process), count(e.most), e.then, e.end, count(e.room)})
	}
	return table
}

// owners names the processes of a socket.
func owners(s *member.Socket) string {
	var all []string
	for _, p := range s.Process {
		if len(all) == 4 {
			return strings.Join(all, ", ") + fmt.Sprintf(" and %d more", len(s.Process)-4)
		}
		all = append(all, fmt.Sprintf("%s (pid %d)", p.Comm, p.PID))
	}
	return strings.Join(all, ", ")
}

// processTable lists the processes that used most CPU time between trigger and end.
func (t *teller) processTable() *Table {
	type key struct {
		pid   int
		start uint64
	}
	type use struct {
		*member.ProcessUse
		before uint64
		since  int64
	}
	by := map[key]*use{}
	var list []*use
	for i := range t.Case.Evidence.Processes {
		p := &t.Case.Evidence.Processes[i]
		k := key{p.PID, p.Start}
		if u := by[k]; u != nil {
			u.ProcessUse = p
			continue
		}
		u := &use{ProcessUse: p}
		if p.At == member.AtTrigger {
			u.before, u.since = p.UTime+p.STime, p.Time
		}
		by[k] = u
		list = append(list, u)
	}
	tick := 100.0 // USER_HZ of every architecture that Linux is used on
	if m := t.Case.Evidence.Manifest; m != nil && m.Host.ClockTick > 0 {
		tick = float64(m.Host.ClockTick)
	}
	used := func(u *use) float64 { return float64(u.UTime+u.STime-min(u.before, u.UTime+u.STime)) / tick }
	slices.SortStableFunc(list, func(a, b *use) int { return cmp.Or(cmp.Compare(used(b), used(a)), a.PID-b.PID) })
	table := &Table{Name: "processes", Title: "Processes", Note: "CPU time between the trigger and the end of the window.", Columns: []Column{
		{"Process", false}, {"PID", true}, {"State", false}, {"CPU", true}, {"Of one CPU", true}, {"Threads", true},
	}}
	for _, u := range list {
		share := Cell{Sort: -1}
		if took := float64(u.Time-u.since) / 1e9; u.since > 0 && took > 0 {
			share = Cell{unit.Percent(used(u) / took), used(u) / took}
		}
		table.Rows = append(table.Rows, []Cell{word(u.Comm), {strconv.Itoa(u.PID), float64(u.PID)}, word(u.State), {fmt.Sprintf("%.2f s", used(u)), used(u)}, share, count(max(0, u.Threads))})
	}
	return table
}

// settingTable lists the settings that findings speak of: as they are, and as they are proposed.
func (t *teller) settingTable() *Table {
	table := &Table{Name: "settings", Title: "Settings that matter here", Columns: []Column{{"Setting", false}, {"Current", false}, {"Proposed", false}, {"Why", false}}}
	seen := map[string]bool{}
	add := func(name, now, proposed, why string) {
		if name != "" && !seen[name] {
			seen[name] = true
			table.Rows = append(table.Rows, []Cell{word(name), word(now), word(proposed), word(why)})
		}
	}
	for _, f := range t.Doc.Findings {
		for _, r := range f.Remedy {
			add(r.Setting, current(r), r.Proposed, f.ID+": "+r.What)
		}
	}
	for _, f := range t.Doc.Findings {
		for i := range f.Evidence {
			if item := &f.Evidence[i]; item.Kind == "setting" {
				add(item.Where, settingValue(item), "", f.ID)
			}
		}
	}
	return table
}

func settingValue(i *check.Item) string {
	if i.Value == nil {
		return i.Text
	}
	return unit.Prose(*i.Value, i.Unit)
}

// sourceTable lists what was recorded, and what of it was lost.
func (t *teller) sourceTable() *Table {
	b := t.Doc.Bundle
	if b == nil {
		return nil
	}
	table := &Table{Name: "sources", Title: "Sources of evidence", Columns: []Column{{"Source", false}, {"State", false}, {"How", false}, {"Lost", true}, {"Remark", false}}}
	for _, s := range b.Sources {
		lost := Cell{Sort: 0}
		if s.Lost > 0 {
			lost = Cell{unit.Count(uint64(s.Lost)) + " " + s.Unit, float64(s.Lost)}
		}
		table.Rows = append(table.Rows, []Cell{word(s.Name), word(string(s.State)), word(s.Variant), lost, word(s.Reason)})
	}
	return table
}
