package analyzer_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/accesslog"
	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/report"
)

// served is a request as a server of the case would have logged it.
type served struct {
	client, server string
	end            int64 // Unix ns
	took           time.Duration
}

// line writes it as nginx does, so much later and from another port.
func (s *served) line(later time.Duration, port int) string {
	client := s.client
	if port != 0 {
		client = fmt.Sprintf("%s:%d", client[:strings.LastIndexByte(client, ':')], port)
	}
	end := time.Duration(s.end) + later
	return fmt.Sprintf("%s %s %d.%03d \"GET /cart?user=alice HTTP/1.1\" 200 %.3f\n", client, s.server, end/time.Second, end%time.Second/time.Millisecond, s.took.Seconds())
}

// logged makes the log of a case: of each connection a request, as long as it lasts.
func logged(t *testing.T, bundle string) (all []served) {
	t.Helper()
	opts := evidence.Options{Flow: func(f *flow.Flow) {
		all = append(all, served{f.Client.String(), f.Server.String(), f.Last - int64(time.Millisecond), time.Duration(f.Last - f.First - int64(time.Millisecond))})
	}}
	if _, err := analyzer.Run([]string{bundle}, opts); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b served) int { return int(a.end - b.end) })
	return all
}

// A log is joined to the connections by the clients' ports, and a finding cites the slowest request that came on a connection that it
// is about. A log whose clients have other ports, of another time, or without ports is laid over the window at most, and proves nothing.
func TestLogs(t *testing.T) {
	c, err := cases.Find("../testdata/cases", "slow-application")
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := c.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	all := logged(t, bundle)
	format, err := accesslog.Compile("$remote_addr:$remote_port $server_addr:$server_port $msec \"$request\" $status $request_time")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.NewCompiler().Compile("report/findings.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		later         time.Duration
		port          int
		inside, joins bool
	}{
		"as it was":    {inside: true, joins: true},
		"other ports":  {port: 9, inside: true},
		"an hour late": {later: time.Hour},
	} {
		var text bytes.Buffer
		for i := range all {
			text.WriteString(all[i].line(tt.later, tt.port))
		}
		text.WriteString("what is that?\n")
		path := filepath.Join(t.TempDir(), "access.log")
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := analyzer.Run([]string{bundle}, evidence.Options{Logs: evidence.Logs{Paths: []string{path}, Options: accesslog.Options{Format: format}}})
		if err != nil {
			t.Fatal(err)
		}
		l := d.Requests.Logs[0]
		n := uint64(len(all))
		if l.Skipped != 1 || l.Lines != n+1 || (l.Inside == n) != tt.inside || (l.Joined == n) != tt.joins || l.Inside > n || !tt.joins && l.Joined > 0 {
			t.Errorf("%s: %+v, of %d", name, l, n)
		}
		if d.Requests.Short() == tt.inside {
			t.Errorf("%s: short %v", name, d.Requests.Short())
		}
		valid(t, schema, d)
		cited := citations(d)
		if (len(cited) > 0) != tt.joins {
			t.Errorf("%s: cited %v", name, cited)
		}
		for _, text := range cited {
			if strings.Contains(text, "alice") || !strings.Contains(text, `"GET /cart?…" from `) {
				t.Errorf("%s: cited as %s", name, text)
			}
		}
	}
}

// valid compares a document with the published schema.
func valid(t *testing.T, schema *jsonschema.Schema, d *report.Document) {
	t.Helper()
	var text bytes.Buffer
	if err := report.JSON(&text, d); err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(&text)
	if err == nil {
		err = schema.Validate(v)
	}
	if err != nil {
		t.Error(err)
	}
}

// citations gives what findings cite of a log.
func citations(d *report.Document) (all []string) {
	for _, f := range d.Findings {
		for _, item := range f.Evidence {
			if item.Kind == "log" && item.Member == "access.log" {
				all = append(all, f.ID+": "+report.ItemText(item))
			}
		}
	}
	return all
}
