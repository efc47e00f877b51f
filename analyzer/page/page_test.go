package page_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/golden"
	"github.com/spikebox/spikebox/analyzer/page"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/story"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

var update = flag.Bool("update", false, "rewrite the goldens under testdata")

// mostPage is what a page may have: what a mail lets through, many times over.
const mostPage = 3 << 20

// told tells the story of a bundle or capture, by the name that it has in its folder.
func told(t *testing.T, path string) *story.Story {
	t.Helper()
	t.Chdir(filepath.Dir(path))
	s, err := analyzer.Tell([]string{filepath.Base(path)}, evidence.Options{}, story.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// html writes the page.
func html(t *testing.T, s *story.Story) string {
	t.Helper()
	var out bytes.Buffer
	if err := page.HTML(&out, s); err != nil {
		t.Fatal(err)
	}
	if out.Len() > mostPage {
		t.Errorf("the page has %d bytes", out.Len())
	}
	return out.String()
}

// changing are the sections that list every check that was asked: they are tested in package report, and would
// change here with each new one.
var changing = regexp.MustCompile(`(?s)\n## What was ruled out.*?\n## Action items`)

// kept are the cases whose report.md is kept: a chain of causes, packets only, a
// stranger's words, and nothing at all.
var kept = map[string]bool{"listen-overflow": true, "listen-overflow-capture": true, "zero-window": true, "empty-capture": true}

// Every case has a page and a Markdown that name each finding, and whose drawings are sound.
func TestCases(t *testing.T) {
	folder, err := filepath.Abs("../../testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	goldens, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	all, err := cases.Load(folder)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			path, err := c.Build(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			s := told(t, path)
			text := html(t, s)
			var md bytes.Buffer
			if err := page.Markdown(&md, s); err != nil {
				t.Fatal(err)
			}
			for _, f := range s.Doc.Findings {
				if !strings.Contains(text, ">"+f.ID+" ") && !strings.Contains(text, "</span> "+f.ID) {
					t.Errorf("the page does not name %s", f.ID)
				}
				if !strings.Contains(md.String(), ": "+f.ID) {
					t.Errorf("report.md does not name %s", f.ID)
				}
			}
			for _, p := range pictures(s) {
				sound(t, p)
				legible(t, p)
			}
			if roots := s.Doc.Roots(); len(roots) > 0 && s.Strip != nil && !strings.Contains(s.Strip.Alt, "; "+roots[0].ID+" ") {
				t.Errorf("%s, which the first sentence names, is not on the strip: %s", roots[0].ID, s.Strip.Alt)
			}
			for _, table := range s.Tables {
				for i, column := range table.Columns {
					if !slices.ContainsFunc(table.Rows, func(row []story.Cell) bool { return row[i].Text != "" }) {
						t.Errorf("%s: nothing in the column %s", table.Title, column.Name)
					}
				}
			}
			if kept[c.Name] {
				golden.Compare(t, filepath.Join(goldens, c.Name+".md"), changing.ReplaceAll(md.Bytes(), []byte("\n## Action items")), *update)
			}
		})
	}
}

// Of two inputs the drawing shows where the loss is, and a connection that both saw is shown once: a packet that passes two places
// was not sent twice.
func TestTwoPlaces(t *testing.T) {
	for folder, inputs := range map[string][]string{"plain": {"client.pcap.zst", "server.pcap.zst"}, "router": {"packets.pcapng.zst"}} {
		t.Run(folder, func(t *testing.T) {
			t.Chdir(filepath.Join("../../testdata/captures/two-places", folder))
			s, err := analyzer.Tell(inputs, evidence.Options{}, story.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Explain) == 0 || s.Explain[0].Picture.Name != "places" || !strings.Contains(s.Explain[0].Picture.Alt, " lost") {
				t.Errorf("explained by %d drawings, without one of the places", len(s.Explain))
			}
			sound(t, s.Explain[0].Picture)
			shown := 0
			for _, f := range s.Findings {
				for i, fl := range f.Flows {
					syns := 0
					for _, l := range fl.Packets {
						if strings.Contains(l.Text, "[SYN]") {
							syns++
						}
					}
					shown += len(fl.Packets)
					if want := len(f.Finding.Flows[i].SYNOffsets); want > 0 && syns != want+1 && syns != want {
						t.Errorf("%s: %d SYNs of %s are shown, offsets %v", f.ID, syns, fl.Name, f.Finding.Flows[i].SYNOffsets)
					}
				}
			}
			if shown == 0 {
				t.Error("no packet is shown")
			}
		})
	}
}

func pictures(s *story.Story) []*plot.Picture {
	var all []*plot.Picture
	if s.Strip != nil {
		all = append(all, s.Strip)
	}
	for _, e := range s.Explain {
		all = append(all, e.Picture)
	}
	for _, r := range s.Rows {
		all = append(all, r.Picture)
	}
	for i := range s.Findings {
		if p := s.Findings[i].Series; p != nil {
			all = append(all, p)
		}
	}
	return all
}

var numbers = regexp.MustCompile(`-?\d+(\.\d+)?`)

// sound says that a drawing is well-formed, says what it shows, is as it was drawn before, and stays on its paper.
func sound(t *testing.T, p *plot.Picture) {
	t.Helper()
	text := p.SVG(true)
	if !bytes.Equal(text, p.SVG(true)) {
		t.Errorf("%s: drawn twice it is not the same", p.Name)
	}
	if p.Alt == "" || p.Title == "" {
		t.Errorf("%s: without a title, or words for who does not see it", p.Name)
	}
	dec := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			return
		}
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local != "path" {
			continue
		}
		for _, a := range e.Attr {
			if a.Name.Local != "d" {
				continue
			}
			for i, n := range numbers.FindAllString(a.Value, -1) {
				var v float64
				fmt.Sscan(n, &v)
				if limit := []float64{p.Width, p.Height}[i%2]; v < -1 || v > limit+1 || math.IsNaN(v) {
					t.Errorf("%s: %v is off the paper of %v × %v", p.Name, v, p.Width, p.Height)
					return
				}
			}
		}
	}
}

// Written twice, a report has the same bytes.
func TestSameBytes(t *testing.T) {
	bundle, err := filepath.Abs("../../testdata/bundles/v1/listen-overflow.spike.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for range 2 {
		dir := t.TempDir()
		if err := page.Write(dir, told(t, bundle)); err != nil {
			t.Fatal(err)
		}
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, _ := filepath.Rel(dir, path)
			content, err := os.ReadFile(path)
			if before, known := files[name]; known && !bytes.Equal(before, content) {
				t.Errorf("%s is not the same", name)
			}
			files[name] = content
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 15 {
		t.Errorf("%d files", len(files))
	}
}

// A report over that of another incident leaves none of its drawings behind, and what others put there alone.
func TestNoDrawingOfBefore(t *testing.T) {
	dir := t.TempDir()
	bundles, err := filepath.Abs("../../testdata/bundles/v1") // telling one changes the folder
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"listen-overflow", "healthy"} {
		if err := page.Write(dir, told(t, filepath.Join(bundles, name+".spike.tar.zst"))); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(filepath.Join(dir, "plots", "ladder.png"))
		if drawn := err == nil; drawn != (name == "listen-overflow") {
			t.Errorf("after %s there is a ladder: %v", name, drawn)
		}
		if err := os.WriteFile(filepath.Join(dir, "plots", "mine.png"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"report.html", "plots/strip.svg", "plots/mine.png"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		}
	}
}

// Who sent SYNs again was connected later than they were sent.
func TestConnectTime(t *testing.T) {
	bundle, err := filepath.Abs("../../testdata/bundles/v1/listen-overflow.spike.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, row := range told(t, bundle).Tables[0].Rows {
		connect, again := row[2].Sort, row[3].Sort
		if again > 0 {
			seen++
		}
		if again >= 1 && connect < 1000 || again >= 6 && connect < 7000 {
			t.Errorf("%s sent %v SYNs again and was connected after %s", row[0].Text, again, row[2].Text)
		}
	}
	if seen < 10 {
		t.Errorf("%d connections", seen)
	}
}

// A flood of findings is bounded, and all are named.
func TestManyFindings(t *testing.T) {
	bundle, err := filepath.Abs("../../testdata/bundles/v1/listen-overflow.spike.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	s := told(t, bundle)
	one := s.Findings[0]
	for i := range 500 {
		f := *one.Finding
		f.Object = fmt.Sprintf("object %d", i)
		s.Doc.Findings = append(s.Doc.Findings, &f)
		next := one
		next.Finding, next.Number, next.Series = &f, len(s.Findings), nil
		s.Findings = append(s.Findings, next)
	}
	text := html(t, s)
	if !strings.Contains(text, "object 499") {
		t.Error("the last finding is missing")
	}
}

// Documents without anything in them have a report, too.
func TestNothing(t *testing.T) {
	s, err := story.Make(story.Source{Case: &check.Case{Evidence: &evidence.Evidence{}, Lines: &timeline.Set{}}, Doc: &report.Document{}})
	if err != nil {
		t.Fatal(err)
	}
	text := html(t, s)
	if !strings.Contains(text, "No check found anything") {
		t.Error("that nothing was found is not said")
	}
	if err := page.Write(t.TempDir(), s); err != nil {
		t.Fatal(err)
	}
}

// Whatever a bundle lacks, its report is written.
func TestMembersMissing(t *testing.T) {
	bundle, err := os.ReadFile("../../testdata/bundles/v1/listen-overflow.spike.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	kind := func(name string) string {
		if folder, _, ok := strings.Cut(name, "/"); ok {
			return folder + "/"
		}
		return name
	}
	kinds := map[string]bool{}
	note := func(name string, data []byte) []byte {
		kinds[kind(name)] = true
		return data
	}
	if _, err := cases.Repack(bundle, note); err != nil {
		t.Fatal(err)
	}
	if len(kinds) < 15 {
		t.Fatalf("members: %v", kinds)
	}
	delete(kinds, "spikebox.json") // without it nothing is a bundle
	for missing := range kinds {
		t.Run(strings.TrimSuffix(missing, "/"), func(t *testing.T) {
			without, err := cases.Repack(bundle, func(name string, data []byte) []byte {
				if kind(name) == missing {
					return nil
				}
				return data
			})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "part.spike.tar.zst")
			if err := os.WriteFile(path, without, 0o600); err != nil {
				t.Fatal(err)
			}
			s := told(t, path)
			html(t, s)
			for _, p := range pictures(s) {
				sound(t, p)
				legible(t, p)
			}
			if err := page.Markdown(io.Discard, s); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Windows of any length have an axis that can be read.
func TestWindows(t *testing.T) {
	for _, length := range []time.Duration{1, time.Millisecond, time.Second, 2 * time.Hour, 400 * 24 * time.Hour} {
		r := plot.Row{Name: "row", Title: "a row", Alt: "a row", Unit: "1", Window: plot.Span{Start: 1e18, End: 1e18 + int64(length)}, Trigger: 1e18}
		l := plot.Line{Name: "line"}
		for i := range 30_000 {
			l.T = append(l.T, 1e18+int64(length)*int64(i)/30_000)
			l.V = append(l.V, float64(i%100))
		}
		r.Lines = []plot.Line{l}
		p := r.Picture()
		sound(t, p)
		if text := p.SVG(false); len(text) > 60_000 {
			t.Errorf("%v: %d bytes", length, len(text))
		}
	}
}
