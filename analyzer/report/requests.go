package report

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/unit"
)

// Requests is what servers' logs say about the window.
type Requests struct {
	Logs    []RequestLog `json:"logs"`
	Took    RequestTimes `json:"took_ms"` // of all requests that were going on within the window
	Slowest []Request    `json:"slowest"` // of these, the slowest first
}

// RequestTimes is [sketch.Quantiles].
type RequestTimes struct {
	N   uint64  `json:"n"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// RequestLog is one log that was laid beside the rest: [evidence.RequestLog].
type RequestLog struct {
	Path    string     `json:"path"`
	Format  string     `json:"format"`
	Lines   uint64     `json:"lines"`
	Skipped uint64     `json:"skipped"`
	Inside  uint64     `json:"in_window"`
	Joined  uint64     `json:"joined"`
	Unclear uint64     `json:"unclear"`
	First   *time.Time `json:"first"`
	Last    *time.Time `json:"last"`
	Error   string     `json:"error,omitempty"`

	ports bool
	zone  string
}

// Request is one of the slowest: [evidence.Request]. Durations are in ms; nil: the log does not say.
type Request struct {
	Log        int         `json:"log"` // index of Logs
	Line       uint64      `json:"line"`
	Start      time.Time   `json:"start"`
	End        time.Time   `json:"end"`
	Client     string      `json:"client"`
	Request    string      `json:"request"`
	Status     int         `json:"status"`
	Took       float64     `json:"took_ms"`
	Queue      *float64    `json:"queue_ms,omitempty"`
	Connect    *float64    `json:"connect_ms,omitempty"`
	Header     *float64    `json:"header_ms,omitempty"`
	Response   *float64    `json:"response_ms,omitempty"`
	Connection *Connection `json:"connection,omitempty"` // absent where it was not found
}

// Connection is the one that a request came on.
type Connection struct {
	Flow   uint64         `json:"flow"` // its number in `spikebox flows`
	Server netip.AddrPort `json:"server"`
	Filter string         `json:"filter"`
}

// mostSlowest is how many requests are listed: more are the log's own work.
const mostSlowest = 150

// requests takes over what was read; nil without a log.
func requests(e *evidence.Evidence) *Requests {
	if e.Requests == nil {
		return nil
	}
	took := e.Requests.Took
	all := &Requests{Logs: []RequestLog{}, Slowest: []Request{}, Took: RequestTimes{took.N, took.P50, took.P99, took.Max}}
	for i := range e.Requests.Logs {
		l := &e.Requests.Logs[i]
		out := RequestLog{Path: l.Path, Format: l.Format, Lines: l.Lines, Skipped: l.Skipped, Inside: l.Inside, Joined: l.Joined, Unclear: l.Unclear, ports: l.Ports, zone: l.Zone}
		if l.First != 0 {
			first, last := evidence.Unix(l.First), evidence.Unix(l.Last)
			out.First, out.Last = &first, &last
		}
		if l.Err != nil {
			out.Error = l.Err.Error()
		}
		all.Logs = append(all.Logs, out)
	}
	for i := range e.Requests.Slowest[:min(len(e.Requests.Slowest), mostSlowest)] {
		all.Slowest = append(all.Slowest, request(&e.Requests.Slowest[i]))
	}
	return all
}

// request takes over one.
func request(r *evidence.Request) Request {
	known := func(d time.Duration) *float64 {
		if d < 0 {
			return nil
		}
		v := ms(int64(d))
		return &v
	}
	out := Request{Log: r.Log, Line: r.Line, Start: evidence.Unix(r.Start), End: evidence.Unix(r.End), Request: r.What, Status: r.Status, Took: ms(int64(r.Took)),
		Queue: known(r.Queue), Connect: known(r.Connect), Header: known(r.Header), Response: known(r.Response)}
	switch {
	case r.Client.Port() != 0:
		out.Client = r.Client.String()
	case r.Client.Addr().IsValid():
		out.Client = r.Client.Addr().String()
	}
	if c := r.Conn; c != nil {
		out.Connection = &Connection{c.Number, c.Server, string(flow.AppendFilter(nil, r.Client, c.Server, c.First, c.Last))}
	}
	return out
}

// Text says how much of a log is of the window, and how much of that is joined to the packets.
func (l *RequestLog) Text() string {
	text := fmt.Sprintf("%s (%s): ", filepath.Base(l.Path), l.Format)
	switch {
	case l.First == nil:
		text += fmt.Sprintf("none of its %s could be read", words.Plural(l.Lines, "line", "lines"))
		return text + l.failed()
	case l.Inside == 0:
		const layout = "2006-01-02 15:04:05"
		text += fmt.Sprintf("none of its requests is of the window; they are from %s to %s UTC", l.First.Format(layout), l.Last.Format(layout))
	default:
		text += fmt.Sprintf("%s of the window in %s", words.Plural(l.Inside, "request", "requests"), words.Plural(l.Lines, "line", "lines"))
		switch {
		case !l.ports:
			text += "; it has no client's ports, which alone tell whose connection a request came on"
		case l.Joined == 0:
			text += "; none came on a connection that the packets show"
		default:
			text += fmt.Sprintf("; %s came on connections that the packets show", unit.Count(l.Joined))
		}
		if l.Unclear > 0 {
			text += fmt.Sprintf("; %s may have come on any of several", unit.Count(l.Unclear))
		}
	}
	if l.zone != "" {
		text += fmt.Sprintf("; its times tell no zone, and were taken for %s (--log-tz)", l.zone)
	}
	if l.Skipped > 0 {
		text += fmt.Sprintf("; %s could not be read", words.Plural(l.Skipped, "line", "lines"))
	}
	return text + l.failed()
}

// failed says why the rest could not be read.
func (l *RequestLog) failed() string {
	if l.Error == "" {
		return ""
	}
	return "; it ends early: " + l.Error
}

// Short says that a log that was given could not be read whole, or that none is of the window.
func (r *Requests) Short() bool {
	if r == nil {
		return false
	}
	inside := false
	for i := range r.Logs {
		if r.Logs[i].Error != "" {
			return true
		}
		inside = inside || r.Logs[i].Inside > 0
	}
	return !inside
}
