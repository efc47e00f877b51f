package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/golden"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/format"
)

var update = flag.Bool("update", false, "rewrite the goldens under testdata")

// documents analyses every case of testdata/cases, from the folder where it is built: reports name
// files as they were given, and a long temporary folder would break lines elsewhere.
func documents(t *testing.T) map[string]*report.Document {
	t.Helper()
	folder, err := filepath.Abs("../../testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	all, err := cases.Load(folder)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	docs := map[string]*report.Document{}
	for _, c := range all {
		ok := t.Run(c.Name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			path, err := c.Build(".")
			if err != nil {
				t.Fatal(err)
			}
			if docs[c.Name], err = analyzer.Run([]string{path}, evidence.Options{}); err != nil {
				t.Fatal(err)
			}
		})
		if !ok {
			t.FailNow()
		}
	}
	return docs
}

func text(t *testing.T, d *report.Document, s report.Style) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := report.Text(&out, d, s); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGoldens(t *testing.T) {
	docs := documents(t)
	for name, d := range docs {
		golden.Compare(t, filepath.Join("testdata", name+".80.txt"), text(t, d, report.Style{Width: 80}), *update)
	}
	golden.Compare(t, filepath.Join("testdata", "listen-overflow.120.txt"), text(t, docs["listen-overflow"], report.Style{Width: 120}), *update)
	golden.Compare(t, filepath.Join("testdata", "listen-overflow.color.txt"), text(t, docs["listen-overflow"], report.Style{Width: 80, Color: true}), *update)
	encoded, err := json.MarshalIndent(docs["listen-overflow"], "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, filepath.Join("testdata", "listen-overflow.json"), append(encoded, '\n'), *update)
}

// Text keeps within the width, unless one word alone is longer; colours add no columns,
// and without them no escape sequence is printed.
func TestWidth(t *testing.T) {
	for name, d := range documents(t) {
		for _, width := range []int{40, 80, 120} {
			for line := range strings.Lines(string(text(t, d, report.Style{Width: width}))) {
				line = strings.TrimRight(line, "\n")
				if strings.Contains(line, "\x1b") {
					t.Errorf("%s: escape sequence without colours: %q", name, line)
				}
				if utf8.RuneCountInString(line) > width && len(strings.Fields(line)) > 3 {
					t.Errorf("%s: %d columns at width %d: %q", name, utf8.RuneCountInString(line), width, line)
				}
				if strings.TrimRight(line, " ") != line {
					t.Errorf("%s: blanks at the end of %q", name, line)
				}
			}
		}
	}
}

// Every document is valid against the published schema, and the schema is strict enough
// to refuse what it should.
func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("findings.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range documents(t) {
		d.In(time.FixedZone("far", 3600))
		if err := schema.Validate(decoded(t, d)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// A time that is not known is none, and not that of a clock at zero.
		if text, err := json.Marshal(d); err != nil || bytes.Contains(text, []byte(`"1970-`)) || bytes.Contains(text, []byte(`"0001-`)) {
			t.Errorf("%s: it tells of a time that is none (%v)", name, err)
		}
		broken := decoded(t, d)
		delete(broken, "verdict")
		if schema.Validate(broken) == nil {
			t.Errorf("%s: the schema accepts a document without a verdict", name)
		}
		if len(d.Findings) == 0 {
			continue
		}
		broken = decoded(t, d)
		broken["findings"].([]any)[0].(map[string]any)["severity"] = "fatal"
		if schema.Validate(broken) == nil {
			t.Errorf("%s: the schema accepts a severity that there is not", name)
		}
	}
}

func decoded(t *testing.T, d *report.Document) map[string]any {
	t.Helper()
	encoded, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

func TestWorstAndLost(t *testing.T) {
	docs := documents(t)
	for name, want := range map[string]check.Severity{"healthy": "", "filtered-port": check.Info, "rtt-spike-all": check.Warning, "listen-overflow": check.Critical} {
		if got := docs[name].Worst(); got != want {
			t.Errorf("%s: worst severity %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]bool{"healthy": false, "evidence-lost": true, "listen-overflow-capture": false} {
		if got := docs[name].EvidenceLost; got != want {
			t.Errorf("%s: evidence lost %v, want %v", name, got, want)
		}
	}
}

// What an operator said is repeated, whatever was found; nothing is asked of a drill.
func TestReason(t *testing.T) {
	for name, tt := range map[string]struct {
		trigger format.Trigger
		says    string
	}{
		"listen-overflow": {format.Trigger{Kind: "control", Reason: "users complain"}, `It was asked for because of "users complain".`},
		"healthy":         {format.Trigger{Kind: "control", Reason: "users complain"}, `Somebody asked at 03:00:05.000, because of "users complain"; none of the checks`},
		"film-paused":     {format.Trigger{Kind: "drill"}, "checks found anything wrong"},
		"deploy":          {format.Trigger{Kind: "signal"}, "checks says what happened"},
	} {
		c, err := cases.Find("../../testdata/cases", name)
		if err != nil {
			t.Fatal(err)
		}
		c.Trigger = tt.trigger
		c.Trigger.Time = cases.Start.Add(5 * time.Second)
		path, err := c.Build(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		d, err := analyzer.Run([]string{path}, evidence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(d.Verdict, tt.says) {
			t.Errorf("%s: %q, want %q", name, d.Verdict, tt.says)
		}
		section := strings.Contains(string(text(t, d, report.Style{Width: 80})), "\nWhat moved most\n")
		if want := name == "deploy"; section != want {
			t.Errorf("%s: a section of what moved: %v, want %v", name, section, want)
		}
	}
}

// A process may call itself what it likes; the reader's terminal does not obey.
func TestControlCharacters(t *testing.T) {
	d := documents(t)["listen-overflow"]
	for _, f := range d.Findings {
		f.Object = "a\x1b[2Jb\rc"
		f.Headline += " by \x1b]0;title\x07nginx"
	}
	d.Verdict += " \x1b[31mred"
	for line := range strings.Lines(string(text(t, d, report.Style{Width: 80}))) {
		if i := strings.IndexFunc(strings.TrimSuffix(line, "\n"), unicode.IsControl); i >= 0 {
			t.Errorf("control character at column %d of %q", i, line)
		}
	}
}
