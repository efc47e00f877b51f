// Package exhibit shows the members of a bundle as tables for people: the rows of a time, a connection or
// a process. Programs read the members themselves (format/SPEC.md).
package exhibit

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/plain"
)

// Choice says which rows are shown. The zero value shows all.
type Choice struct {
	From, To time.Time // zero: unbounded
	// Ends says whether a connection, or a socket without a remote end, is meant; nil: all are.
	Ends    func(local, remote netip.AddrPort) bool
	Process string // name or number; empty: all
}

// By is a part of a Choice.
type By string

// What rows can be chosen by.
const (
	Time    By = "time"
	Flow    By = "flow"
	Process By = "process"
)

// Kind is one sort of evidence.
type Kind struct {
	Name, Doc string
	Member    string // its name in the bundle, or the folder that its members lie in
	By        []By   // what its rows can be chosen by
	show      func(*table, io.Reader, *Choice, *format.Manifest) error
}

// Kinds are all that can be shown, in the order in which help lists them.
var Kinds = []*Kind{
	{"kmsg", "the kernel log", member.KmsgName, []By{Time}, kmsg},
	{"events", "what the kernel told of single packets and connections", member.EventsName, []By{Time, Flow}, events},
	{"drops", "packets that the kernel dropped, by reason and place, the most first", member.DropsName, []By{Time}, drops},
	{"sockets", "TCP sockets at the trigger and at the end", member.SocketsName, []By{Flow, Process}, sockets},
	{"processes", "processes, those that used most CPU time between trigger and end first", member.ProcessesName, []By{Process}, processes},
	{"conntrack", "the connection tracking table", member.ConntrackName, []By{Flow}, conntrack},
	{"stacks", "kernel stacks inside of long softirqs, the most frequent first", member.StacksName, nil, stacks},
	{"settings", "sysctls", member.SysctlFolder, nil, nil},
}

// Find gives the kind of a name; nil where there is none.
func Find(name string) *Kind {
	for _, k := range Kinds {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// ErrNoRows says that a table has none: its member is empty, or what was chosen is not in it.
var ErrNoRows = errors.New("no rows")

// Show writes the rows of a bundle's member. The error is os.ErrNotExist where the bundle has no such
// member, ErrNoRows where it was read to its end and no row came, a *format.DamageError where the member is not what was written, and otherwise says what in it is not
// as SPEC.md wants it.
func (k *Kind) Show(w io.Writer, r *format.Reader, c *Choice) error {
	t := newTable(w)
	if k.show == nil {
		return settings(t, r)
	}
	in, err := r.Open(k.Member)
	if err != nil {
		return err
	}
	defer in.Close()
	err = k.show(t, in, c, r.Manifest)
	if ferr := t.flush(); ferr != nil {
		return ferr
	}
	// To its end, where its sum is compared. What a parser says of half a line is no other fault.
	_, rest := io.Copy(io.Discard, in)
	return cmp.Or(rest, err, t.none())
}

// at says whether a time is meant.
func (c *Choice) at(ns int64) bool {
	return (c.From.IsZero() || ns >= c.From.UnixNano()) && (c.To.IsZero() || ns <= c.To.UnixNano())
}

// ends says whether a connection is meant.
func (c *Choice) ends(local, remote netip.AddrPort) bool {
	return c.Ends == nil || c.Ends(local, remote)
}

// process says whether a process is meant.
func (c *Choice) process(pid int, comm string) bool {
	return c.Process == "" || c.Process == comm || c.Process == strconv.Itoa(pid)
}

// table sets rows in columns. It keeps no more than a block of rows: a table of sockets may have 200,000.
type table struct {
	out  *tabwriter.Writer
	head []string
	rows int
	err  error
}

const (
	blockRows = 1000
	// longestCell is how much of a stranger's text a cell shows, in bytes.
	longestCell = 200
)

func newTable(w io.Writer) *table { return &table{out: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// columns names the columns, before the first row.
func (t *table) columns(names ...string) { t.head = names }

// row adds a row. After an error it does nothing.
func (t *table) row(cells ...string) {
	if t.rows == 0 {
		t.line(t.head)
	}
	if t.rows++; t.rows%blockRows == 0 && t.err == nil {
		t.err = t.out.Flush()
	}
	t.line(cells)
}

func (t *table) line(cells []string) {
	if t.err != nil || cells == nil {
		return
	}
	for i, c := range cells {
		if len(c) > longestCell {
			cells[i] = c[:longestCell] + "…"
		}
	}
	_, t.err = fmt.Fprintln(t.out, plain.Row(cells...))
}

// none is ErrNoRows where no row came.
func (t *table) none() error {
	if t.rows > 0 {
		return nil
	}
	return ErrNoRows
}

// flush writes what is left, and the columns' names where no row came.
func (t *table) flush() error {
	if t.rows == 0 {
		t.line(t.head)
	}
	if t.err == nil {
		t.err = t.out.Flush()
	}
	return t.err
}

// clock is a time of the bundle as people read it, in UTC.
func clock(ns int64) string { return time.Unix(0, ns).UTC().Format("15:04:05.000000") }

func number[T int | int64 | uint32 | uint64](n T) string { return fmt.Sprint(n) }

// end is an address with its port; empty where there is none.
func end(a netip.Addr, port uint16) string {
	switch {
	case !a.IsValid():
		return ""
	case port == 0:
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}
