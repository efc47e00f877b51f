package evidence

import (
	"io"
	"maps"
	"slices"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// moments makes one reading of what is listed row by row for the same moment. What is read
// twice, at the trigger and at the end, has two of them: the difference is what counts.
type moments struct {
	columns *column.Columns
	source  string
	row     column.Row
	at      int64
	begun   bool
	ok      bool
}

// of gives the reading of a time; ok is false for one that is older than the last.
func (m *moments) of(at int64) (row column.Row, ok bool) {
	if !m.begun || at != m.at {
		m.row, m.ok = m.columns.Row(m.source, at)
		m.at, m.begun = at, true
	}
	return m.row, m.ok
}

// readQdiscs adds the queue disciplines' numbers: qdisc.eth0.tbf.1:.drops. Backlog and qlen
// are levels, the others only grow (include/uapi/linux/gen_stats.h).
func readQdiscs(r io.Reader, c *column.Columns) error {
	m := moments{columns: c, source: member.QdiscsName}
	return member.EachQdisc(r, func(q *member.Qdisc) {
		row, ok := m.of(q.Time)
		if !ok {
			return
		}
		put := func(kind column.Kind, number string, v uint64) {
			row.Sparse(kind, "1", float64(v), "qdisc", q.Interface, q.Kind, q.Handle, number)
		}
		put(column.Counter, "bytes", q.Bytes)
		put(column.Counter, "packets", q.Packets)
		put(column.Counter, "drops", q.Drops)
		put(column.Counter, "overlimits", q.Overlimits)
		put(column.Counter, "requeues", q.Requeues)
		put(column.Gauge, "backlog", q.Backlog)
		put(column.Gauge, "qlen", q.QLen)
	})
}

// readDrivers adds the drivers' own counters: ethtool.eth0.rx_missed. What a driver calls a
// statistic is taken for a count, as nearly all of them are.
func readDrivers(r io.Reader, c *column.Columns) error {
	m := moments{columns: c, source: member.StatisticsName}
	return member.EachStatistics(r, func(d *member.Statistics) {
		row, ok := m.of(d.Time)
		if !ok {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(d.Statistics)) { // the same columns have room each time
			row.Sparse(column.Counter, "1", float64(d.Statistics[name]), "ethtool", d.Interface, name)
		}
	})
}
