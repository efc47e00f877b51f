package evidence

import (
	"bytes"
	"cmp"
	"container/heap"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/accesslog"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/sketch"
	"github.com/spikebox/spikebox/analyzer/ticks"
	"github.com/spikebox/spikebox/format/member"
)

// Logs says which logs of web servers and proxies are laid beside the rest.
type Logs struct {
	Paths []string
	accesslog.Options
}

// Requests is what these logs say about the window.
type Requests struct {
	Logs    []RequestLog
	Took    sketch.Quantiles // of the window's requests
	Slowest []Request        // of the window, the slowest first; no more than mostRequests
	// Unlisted counts connections that were too many to find their requests.
	Unlisted uint64
}

// RequestLog is one log.
type RequestLog struct {
	Path    string // as it was given
	Format  string // nginx, HAProxy, Apache
	Lines   uint64
	Skipped uint64 // lines that could not be read
	Inside  uint64 // requests that were going on within the window
	Joined  uint64 // of these, those whose connection was found by its client's address and port
	Unclear uint64 // of these, those that may be one of several connections'
	Ports   bool   // it has the clients' ports
	Zone    string // for whose its times were taken, as they tell none; empty where they do
	// First and Last are the Unix ns of its earliest and its latest request; 0 without any.
	First, Last int64
	Err         error // why the rest could not be read
}

// Request is one that was going on within the window.
type Request struct {
	Log    int // index of Requests.Logs
	Line   uint64
	Client netip.AddrPort // port 0: not logged
	// Start and End are Unix ns. The log has cut them off: each is up to Fine later.
	Start, End, Fine                       int64
	Took, Queue, Connect, Header, Response time.Duration // negative: not logged
	Status                                 int
	What                                   string      // the request's first line without its query, a stranger's text
	Conn                                   *Connection // that it came on; nil where it was not found
}

// Connection is one that has ended, as the packets show it.
type Connection struct {
	Server      netip.AddrPort
	First, Last int64  // Unix ns
	Number      uint64 // flow.Flow.Number
}

const (
	// mostRequests bounds the requests that are kept: some MB. What is asked for are the slowest.
	mostRequests = 10_000
	// mostConnections bounds the connections whose requests are looked for: some 150 MiB.
	mostConnections = 1 << 20
)

// connections finds connections by their clients' ends.
type connections struct {
	by       map[netip.AddrPort]int32 // index of the newest
	list     []connection
	unlisted uint64
}

// connection is one in a chain.
type connection struct {
	Connection
	before int32 // index of the one before it from the same end; negative: none
}

// add takes a connection. Of one whose begin was not seen it is not certain which end is the client's.
func (c *connections) add(f *flow.Flow) {
	c.end(f.Client, f.Server, f)
	if f.Midstream {
		c.end(f.Server, f.Client, f)
	}
}

// beside takes every connection, and hands it on.
func (c *connections) beside(also func(*flow.Flow)) func(*flow.Flow) {
	return func(f *flow.Flow) {
		c.add(f)
		if also != nil {
			also(f)
		}
	}
}

func (c *connections) end(client, server netip.AddrPort, f *flow.Flow) {
	if len(c.list) >= mostConnections {
		c.unlisted++
		return
	}
	before, ok := c.by[client]
	if !ok {
		before = -1
	}
	c.by[client] = int32(len(c.list))
	c.list = append(c.list, connection{Connection{server, f.First, f.Last, f.Number()}, before})
}

// find gives the connection of a request: the one from its client's end that was there at its time. By times that are cut
// off to seconds several may be; then the one counts in whose time all of that lies, and where that is not one alone, none.
func (c *connections) find(r *Request, server netip.AddrPort) (found *Connection, unclear bool) {
	at, ok := c.by[r.Client]
	if !ok {
		return nil, false
	}
	var maybe, surely []*Connection
	for ; at >= 0; at = c.list[at].before {
		x := &c.list[at].Connection
		if server.IsValid() && server.Port() != 0 && server != x.Server {
			continue
		}
		// The log's server takes up to its fine time longer to write than to send, and a ms passes from packet to packet.
		if slack := r.Fine + int64(time.Millisecond); x.First <= r.End+slack && r.Start-slack <= x.Last {
			maybe = append(maybe, x)
		}
		if x.First <= r.Start && r.End+r.Fine <= x.Last {
			surely = append(surely, x)
		}
	}
	switch {
	case len(maybe) == 1:
		return maybe[0], false
	case len(surely) == 1:
		return surely[0], false
	}
	return nil, len(maybe) > 1
}

// slowest keeps the requests that took longest: the heap's first took the least.
type slowest []Request

func (s slowest) Len() int           { return len(s) }
func (s slowest) Less(i, j int) bool { return s[i].Took < s[j].Took }
func (s slowest) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *slowest) Push(x any)        { *s = append(*s, x.(Request)) }
func (s *slowest) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	*s = (*s)[:last]
	return x
}

// openLogs opens the logs, so that one that is none is told of before the packets are read.
func openLogs(opts Options) (all []*accesslog.Log, err error) {
	for _, path := range opts.Logs.Paths {
		l, err := accesslog.Open(path, opts.Logs.Options)
		if err != nil {
			closeLogs(all)
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func closeLogs(all []*accesslog.Log) {
	for _, l := range all {
		l.Close()
	}
}

// requests puts together what logs say.
type requests struct {
	*Requests
	start, end int64 // Unix ns: the window
	known      *connections
	counts     *ticks.Requests
	took       sketch.Sketch
	pool       sketch.Pool
	kept       slowest
}

// readLogs lays the logs over the window, and looks for the requests' connections.
func (e *Evidence) readLogs(logs []*accesslog.Log, known *connections) {
	if len(logs) == 0 {
		return
	}
	all := requests{Requests: &Requests{Unlisted: known.unlisted}, known: known}
	all.start, all.end = e.Window()
	fine := time.Duration(0)
	for _, l := range logs {
		fine = max(fine, l.Fine)
	}
	all.counts = ticks.NewRequests(e.Columns.Times(member.VitalsName), all.start, all.end, fine)
	for _, l := range logs {
		all.read(l)
	}
	all.Took = all.took.Quantiles()
	slices.SortFunc(all.kept, func(a, b Request) int {
		return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Log, b.Log), cmp.Compare(a.Line, b.Line))
	})
	all.Slowest = all.kept
	e.Requests = all.Requests
	source := filepath.Base(logs[0].Path)
	if len(logs) > 1 {
		source = fmt.Sprintf("%d logs", len(logs))
	}
	all.counts.Columns(&e.Columns, source)
}

// read reads one log.
func (all *requests) read(l *accesslog.Log) {
	out := RequestLog{Path: l.Path, Format: l.Format.Name}
	if l.Format.Local {
		out.Zone = l.Zone.String()
	}
	out.Err = l.Each(func(q *accesslog.Request) {
		all.counts.Add(q)
		out.Ports = out.Ports || q.Client.Port() != 0
		r := Request{Log: len(all.Logs), Line: q.Line, Client: q.Client, Start: q.End - int64(q.Took), End: q.End, Fine: int64(q.Fine),
			Took: q.Took, Queue: q.Queue, Connect: q.Connect, Header: q.Header, Response: q.Response, Status: q.Status}
		if r.Start > all.end || r.End+r.Fine < all.start {
			return
		}
		out.Inside++
		all.took.Add(int64(r.Took), &all.pool)
		if r.Client.Port() != 0 {
			var unclear bool
			if r.Conn, unclear = all.known.find(&r, q.Server); r.Conn != nil {
				out.Joined++
			} else if unclear {
				out.Unclear++
			}
		}
		all.keep(&r, q.What)
	})
	out.Lines, out.Skipped, out.First, out.Last = l.Lines, l.Skipped, l.First, l.Last
	all.Logs = append(all.Logs, out)
}

// keep keeps a request while it is one of the slowest.
func (all *requests) keep(r *Request, what []byte) {
	if len(all.kept) == mostRequests && r.Took <= all.kept[0].Took {
		return
	}
	// A query may hold what nobody should read in a postmortem: a token, somebody's name.
	if before, _, query := bytes.Cut(what, []byte{'?'}); query {
		r.What = string(before) + "?…"
	} else {
		r.What = string(what)
	}
	if r.Conn != nil {
		copied := *r.Conn // not all the others with it
		r.Conn = &copied
	}
	if heap.Push(&all.kept, *r); len(all.kept) > mostRequests {
		heap.Pop(&all.kept)
	}
}

// Joined says whether any request's connection was found: only then it is certain that the logs are of this host.
func (r *Requests) Joined() bool {
	return r != nil && slices.ContainsFunc(r.Logs, func(l RequestLog) bool { return l.Joined > 0 })
}

// Empty says that no log tells of the window.
func (r *Requests) Empty() bool {
	return r != nil && !slices.ContainsFunc(r.Logs, func(l RequestLog) bool { return l.Inside > 0 })
}
