package check

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

// cite adds to each finding the slowest request of a server's log that came, while it holds, on a connection that it is
// about. A log that is not joined to the packets proves nothing here: it may be another host's.
func (c *Case) cite(results []Result) {
	all := c.Evidence.Requests
	if !all.Joined() {
		return
	}
	for _, f := range Findings(results) {
		if f.remark || f.Severity == Info {
			continue
		}
		for i := range all.Slowest {
			r := &all.Slowest[i]
			if float64(r.Took)/1e6 <= all.Took.P50 { // they come by their durations: no other is slow, either
				break
			}
			if r.Conn != nil && f.concerns(r) {
				f.Evidence = append(f.Evidence, requestItem(all, r))
				break
			}
		}
	}
}

// concerns says whether a request came on a connection that the finding is about, while it holds.
func (f *Finding) concerns(r *evidence.Request) bool {
	if !f.span().Overlaps(timeline.Span{Start: r.Start, End: r.End}, r.Fine) {
		return false
	}
	conn := subject.Flow{Client: r.Client, Server: r.Conn.Server}
	return slices.ContainsFunc(f.Subjects, func(s subject.Subject) bool { return subject.Meets(s, conn) })
}

// requestItem is the evidence of a request in a log.
func requestItem(all *evidence.Requests, r *evidence.Request) Item {
	text := "from " + r.Client.String()
	for _, part := range []struct {
		name string
		took time.Duration
	}{{"queue", r.Queue}, {"connect", r.Connect}, {"header", r.Header}, {"response", r.Response}} {
		if part.took >= 0 {
			text += fmt.Sprintf(", %s %s", part.name, unit.Duration(part.took))
		}
	}
	if r.What != "" {
		text = words.Quote(r.What) + " " + text
	}
	text += fmt.Sprintf("; half of the log's requests took at most %s", unit.Duration(time.Duration(all.Took.P50*1e6)))
	return Item{Kind: "log", Member: filepath.Base(all.Logs[r.Log].Path), Where: fmt.Sprintf("line %d", r.Line), Value: val(r.Took.Seconds()), Unit: unit.Seconds, Text: text,
		Filter: string(flow.AppendFilter(nil, r.Client, r.Conn.Server, r.Conn.First, r.Conn.Last))}
}
