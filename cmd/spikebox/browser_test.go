package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/page"
	"github.com/spikebox/spikebox/analyzer/story"
	"github.com/spikebox/spikebox/cmd/internal/browser"
	"github.com/spikebox/spikebox/format"
)

// reportOf writes the report of a bundle, with servers' logs laid over it, and gives the page's path.
func reportOf(t *testing.T, bundle string, logs ...string) string {
	t.Helper()
	told, err := analyzer.Tell([]string{bundle}, evidence.Options{Logs: evidence.Logs{Paths: logs}}, story.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := page.Write(dir, told); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "report.html")
}

const overflowBundle = "../../testdata/bundles/v1/listen-overflow.spike.tar.zst"

// A cursor and a zoom are those of all rows, and bands light up with their finding.
func TestReportMoves(t *testing.T) {
	p := browser.Open(t, reportOf(t, overflowBundle), 1440, 900)
	rows := browser.Eval[int](p, `document.querySelectorAll('svg[data-whole]').length`)
	if rows < 10 {
		t.Fatalf("%d rows", rows)
	}
	p.Exec(`{const c = document.getElementById('cursor'); c.value = 5000; c.dispatchEvent(new Event('input'))}`)
	places := browser.Eval[[]float64](p, `[...document.querySelectorAll('svg[data-whole] .cursor')].map(l => +l.getAttribute('x1'))`)
	if len(places) != rows || slices.Min(places) != slices.Max(places) || places[0] < 100 {
		t.Errorf("cursors of %d rows: %v", rows, places)
	}
	said := browser.Eval[string](p, `document.getElementById('at-0').textContent`)
	if !strings.Contains(said, "192.0.2.10:8080 (room for 8)") {
		t.Errorf("the first row says %q", said)
	}
	p.Do(chromedp.Click(chromedp.CSS(`button[data-act=in]`)))
	scales := browser.Eval[[]string](p, `[...document.querySelectorAll('svg[data-whole] g.data')].map(g => g.getAttribute('transform').replace(/.*scale/, ''))`)
	if len(scales) < rows || slices.ContainsFunc(scales, func(s string) bool { return s != "(2 1)" }) {
		t.Errorf("scales of the rows: %v", scales)
	}
	places = browser.Eval[[]float64](p, `[...document.querySelectorAll('svg[data-whole] .cursor')].map(l => +l.getAttribute('x1'))`)
	if len(places) != rows || slices.Min(places) != slices.Max(places) {
		t.Errorf("cursors after the zoom: %v", places)
	}
	p.Do(chromedp.Click(chromedp.CSS(`button[data-act=all]`)), chromedp.Focus(chromedp.CSS(`.finding[data-finding="1"] button[data-from]`)))
	if n := browser.Eval[int](p, `document.querySelectorAll('svg[data-whole] .band.b1.lit').length`); n < 10 {
		t.Errorf("%d bands light up", n)
	}
	if n := browser.Eval[int](p, `document.querySelectorAll('.band.b0.lit').length`); n != 0 {
		t.Errorf("%d bands of another finding light up", n)
	}
	p.Quiet()
}

// Tables sort by their values, and filter.
func TestReportTables(t *testing.T) {
	p := browser.Open(t, reportOf(t, overflowBundle), 1440, 900)
	const values = `[...document.querySelectorAll('#t-connections tbody tr')].filter(r => !r.hidden).map(r => +r.cells[3].dataset.v)`
	p.Do(chromedp.Click(chromedp.CSS(`#t-connections th:nth-child(4) button`)))
	down := browser.Eval[[]float64](p, values)
	if len(down) < 20 || !slices.IsSortedFunc(down, func(a, b float64) int { return int(b - a) }) || down[0] == 0 {
		t.Errorf("sorted: %v", down)
	}
	p.Do(chromedp.Click(chromedp.CSS(`#t-connections th:nth-child(4) button`)))
	if up := browser.Eval[[]float64](p, values); !slices.IsSorted(up) {
		t.Errorf("sorted again: %v", up)
	}
	all := len(down)
	p.Do(chromedp.SendKeys(chromedp.CSS(`#filter-t-connections`), ".13:"))
	if some := browser.Eval[[]float64](p, values); len(some) == 0 || len(some) >= all {
		t.Errorf("%d of %d rows are left", len(some), all)
	}
	p.Quiet()
}

// Every control is reached by the keyboard, and shows that it is, whatever a report holds: a heat map and a flame graph, a time-sequence
// graph, a ladder, a fill, nothing.
func TestReportKeyboard(t *testing.T) {
	for _, input := range append(built(t, "softirq-stall", "zero-window", "conntrack-full", "healthy", "empty-capture"), overflowBundle) {
		t.Run(filepath.Base(input), func(t *testing.T) { walk(t, reportOf(t, input)) })
	}
}

// walk goes from control to control.
func walk(t *testing.T, path string) {
	t.Helper()
	p := browser.Open(t, path, 1440, 900)
	const name = `(e => e === document.body ? '' : e.tagName + '#' + e.id + ':' + [...document.querySelectorAll('*')].indexOf(e))`
	want := browser.Eval[[]string](p, `[...document.querySelectorAll('a[href],button,input,summary,[tabindex="0"]')].filter(e => e.checkVisibility()).map(`+name+`)`)
	var got []string
	for range len(want) + 5 {
		p.Do(chromedp.KeyEvent(kb.Tab))
		at := browser.Eval[string](p, name+`(document.activeElement)`)
		if at == "" || len(got) > 0 && at == got[0] {
			break
		}
		got = append(got, at)
		if outline := browser.Eval[string](p, `getComputedStyle(document.activeElement).outlineStyle`); outline == "none" {
			t.Errorf("the focus on %s is not shown", at)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("the keyboard does not reach %s", w)
		}
	}
	if len(want) < 5 { // even of nothing the contents and the skip link
		t.Errorf("%d controls only", len(want))
	}
	p.Quiet()
}

// People who do not see the page, or see no colours, are told the same.
func TestReportAccessible(t *testing.T) {
	bundles, _ := filepath.Glob("../../testdata/bundles/v1/*.zst")
	for _, bundle := range bundles {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(filepath.Base(bundle)+" "+scheme, func(t *testing.T) {
				p := browser.Open(t, reportOf(t, bundle), 1280, 900)
				p.Media("screen", scheme)
				p.Exec(`document.querySelectorAll('details').forEach(d => { d.open = true })`)
				p.Accessible()
				p.Quiet()
			})
		}
	}
}

// script is poison for a page: it ends whatever a text may stand in, and runs.
const script = `'"` + "`" + `--></title></style></script></textarea></svg>]]><script>window.pwned=1</script><img src=x onerror=window.pwned=2><svg/onload=window.pwned=3><a href="javascript:window.pwned=4">x</a>{{.}}${window.pwned=5}` + "\u2028\u202e\u2066"

// evilLog is an access log of the time of overflowBundle, in which a client asked for poison.
func evilLog(t *testing.T, poison string) string {
	t.Helper()
	r, err := format.Open(overflowBundle, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	request := strings.NewReplacer(`"`, `\x22`, "\n", " ", "\r", " ").Replace(poison)
	line := fmt.Sprintf("192.0.2.1 - - [%s] \"%s\" 200 5 \"-\" \"%s\" rt=0.500\n", r.Manifest.Window.Trigger.Format("02/Jan/2006:15:04:05 -0700"), request, request)
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// No string of a bundle or a log runs, whatever it holds.
func TestReportRunsNoStrangersScript(t *testing.T) {
	poisons := map[string]poison{"script": {script, poisons["names"].spare}, "everything": poisons["everything"], "names": poisons["names"]}
	for name, poison := range poisons {
		t.Run(name, func(t *testing.T) {
			bundle := filepath.Join(t.TempDir(), "evil.spike.tar.zst")
			if err := os.WriteFile(bundle, poisoned(t, poison), 0o600); err != nil {
				t.Fatal(err)
			}
			path := reportOf(t, bundle, evilLog(t, poison.text))
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if name != "everything" && !strings.Contains(string(text), "cmd()") {
				t.Error("the poison is not in the page: the test sees nothing")
			}
			if !strings.Contains(string(text), "Slowest requests in the servers") {
				t.Error("the log's poison is not in the page")
			}
			harmless(t, path)
		})
	}
}

// Nor does it in findings that the bundle above does not have: what a case's processes, groups, links and settings are called is in
// the hand of who sends the bundle. Words that say what a row is stay, so that the findings do.
func TestFindingsRunNoStrangersScript(t *testing.T) {
	kept := []string{"at", "state", "family", "kind", "unit", "protocol", "vital", "vector", "type", "scope", "name", "interface", "reason"}
	p := poison{script, func(key, v string) bool {
		_, err := netip.ParseAddr(v)
		return isTime(v) || err == nil || slices.Contains(kept, key)
	}}
	for id, name := range map[string]string{"udp-stalled": "udp-stalled-full", "cpu-throttled": "cpu-throttled", "dismissed": "dismissed", "cpu-saturated": "cpu-slow"} {
		t.Run(name, func(t *testing.T) {
			bundle, err := os.ReadFile(built(t, name)[0])
			if err != nil {
				t.Fatal(err)
			}
			if bundle, err = cases.Repack(bundle, p.member); err != nil {
				t.Fatal(err)
			}
			evil := filepath.Join(t.TempDir(), "evil.spike.tar.zst")
			if err := os.WriteFile(evil, bundle, 0o600); err != nil {
				t.Fatal(err)
			}
			path := reportOf(t, evil)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, findings, _ := strings.Cut(string(text), `<h2 id="findings">`)
			findings, _, _ = strings.Cut(findings, "</section>")
			if !strings.Contains(findings, "</span> "+id) || !strings.Contains(findings, "cmd()") {
				t.Errorf("no finding %s with poison in it: the test sees nothing", id)
			}
			harmless(t, path)
		})
	}
}

// harmless says that a page runs no script but its own.
func harmless(t *testing.T, path string) {
	t.Helper()
	p := browser.Open(t, path, 1280, 900)
	p.Exec(`document.querySelectorAll('details').forEach(d => { d.open = true })`)
	p.Do(chromedp.Click(chromedp.CSS(`#main`)))
	if got := browser.Eval[string](p, `String(window.pwned)`); got != "undefined" {
		t.Errorf("script %s ran", got)
	}
	// Nothing but the page's own scripts, pictures and frames is in it.
	if n := browser.Eval[int](p, `document.querySelectorAll('script:not(#data)').length * 100 + document.querySelectorAll('img,iframe,object,embed,link,base,form,svg a,a:not([href^="#"])').length`); n != 100 {
		t.Errorf("%d strange elements", n-100)
	}
	if data := browser.Eval[string](p, `typeof JSON.parse(document.getElementById('data').textContent).start`); data != "number" {
		t.Errorf("the page's numbers are %s", data)
	}
	p.Quiet()
}
