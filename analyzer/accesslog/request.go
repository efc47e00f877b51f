// Package accesslog reads what web servers and proxies say about the requests that they served: when, for whom,
// and how long each part took. It knows nginx's formats, HAProxy's and Apache's, as their own words for a format
// describe them.
//
// The parts are put on nginx's measure, whose names they bear:
//
//	Took      the first byte of the request to the end of the answer  $request_time, HAProxy's Ta, Apache's %D
//	Queue     waiting for a free place at the upstream                HAProxy's Tw
//	Connect   connecting to the upstream                              $upstream_connect_time, Tc
//	Header    from then on until its answer's head was there          $upstream_header_time, Tc + Tr
//	Response  and until its end                                       $upstream_response_time, Tc + Tr + Td
//
// nginx begins the last three when it begins to connect (ngx_http_upstream_connect sets u->start_time); HAProxy
// measures from one to the next (its configuration manual, "Timing events").
package accesslog

import (
	"net/netip"
	"time"
)

// Request is one line. It is valid until the next one is read.
type Request struct {
	Line     uint64         // its number in the file, from 1
	Client   netip.AddrPort // port 0 where the log has none; the zero value without an address
	Server   netip.AddrPort // the server's own end, where the log has it
	End      int64          // Unix ns at which it was answered: then, or by less than Fine later
	Took     time.Duration  // negative where the log does not say, as of all durations
	Queue    time.Duration
	Connect  time.Duration
	Header   time.Duration
	Response time.Duration
	Fine     time.Duration
	Status   int    // 0 where the log does not say
	What     []byte // the request's first line: a stranger's text
}

// unknown is a duration of which the log does not tell.
const unknown = time.Duration(-1)

// longest is the longest duration that is believed: no request takes a year, but broken lines say anything.
const longest = 366 * 24 * time.Hour

// fields is a line while it is read: as its format tells it.
type fields struct {
	Request
	at      int64 // Unix ns
	stamped bool
	begin   bool // at is when the request began, not when it ended
	// HAProxy's: until the request's head was there, and from the connection to the upstream until its answer's head was.
	head, wait time.Duration
	early      bool // the line was written before the answer's end
	local      *time.Location
}

// reset empties the fields for the next line.
func (f *fields) reset() {
	*f = fields{local: f.local, head: unknown, wait: unknown, Request: Request{Took: unknown, Queue: unknown, Connect: unknown, Header: unknown, Response: unknown}}
}

// finish gives the request; ok is false for a line without a time, or without a duration.
func (f *fields) finish() (*Request, bool) {
	if !f.stamped || f.Took < 0 {
		return nil, false
	}
	f.End = f.at
	if f.begin {
		f.End += int64(f.Took)
	}
	// HAProxy measures from one event to the next.
	if f.wait >= 0 {
		f.Header = max(0, f.Connect) + f.wait
		if rest := f.Took - f.head - max(0, f.Queue); f.head >= 0 && !f.early && rest >= f.Header {
			f.Response = rest
		}
	}
	return &f.Request, true
}
