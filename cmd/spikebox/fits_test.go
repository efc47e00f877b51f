package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/cmd/internal/browser"
)

// wide are the elements that are wider than the page.
const wide = `[...document.querySelectorAll('main *, header *')].filter(e => e.checkVisibility() && !e.closest('svg') && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest('.wide,.scroll')).map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40))`

// broken are the words of tables that stand on two lines; what may break says so.
const broken = `[...document.querySelectorAll('th,td')].filter(e => e.checkVisibility() && !e.classList.contains('wrap')).flatMap(e => {
	const walk = document.createTreeWalker(e, NodeFilter.SHOW_TEXT), all = [];
	while (walk.nextNode()) for (const w of walk.currentNode.data.matchAll(/[^\s-]+/g)) {
		const r = document.createRange();
		r.setStart(walk.currentNode, w.index); r.setEnd(walk.currentNode, w.index + w[0].length);
		if (w[0].length < 25 && new Set([...r.getClientRects()].map(b => Math.round(b.top))).size > 1) all.push(w[0]);
	}
	return all;
})`

// built makes the bundles of some cases.
func built(t *testing.T, names ...string) (paths []string) {
	t.Helper()
	folder, err := filepath.Abs("../../testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	all, err := cases.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, c := range all {
		for _, name := range names {
			if c.Name != name {
				continue
			}
			path, err := c.Build(dir)
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
	}
	if len(paths) != len(names) {
		t.Fatalf("%d of %d cases", len(paths), len(names))
	}
	return paths
}

// longNames makes a capture of addresses as long as they can be, some of whose clients send their SYNs again.
func longNames(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for i := range 40 {
		client := fmt.Sprintf("[2001:db8:1111:2222:3333:4444:5555:%x]:%d", 0xa000+i, 50000+i)
		if i%2 == 0 { // two SYNs before the one that is answered
			fmt.Fprintf(&text, "%v %s > %s S\n%v %s > %s S\n", i, client, longServer, i+1, client, longServer)
			i += 3
		}
		fmt.Fprintf(&text, "exchange %v %s > %s 20ms\n", i, client, longServer)
	}
	capture, err := cases.Pcapng(text.String(), time.Unix(1795000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "long-names.pcapng")
	if err := os.WriteFile(path, capture, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const longServer = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1111]:44443"

// On paper nothing is cut, no word is broken and nothing scrolls; on a phone only what scrolls by itself is wider than the screen.
// Addresses of IPv6 are twice as long as those of IPv4, a stall of softirqs has histograms.
func TestReportFits(t *testing.T) {
	inputs := append(built(t, "no-route-ipv6-clients", "softirq-stall", "connect-failed"), overflowBundle, "../../testdata/captures/two-places/router/packets.pcapng.zst", longNames(t))
	for _, bundle := range inputs {
		t.Run(filepath.Base(bundle), func(t *testing.T) {
			p := browser.Open(t, reportOf(t, bundle), 1440, 844)
			for _, width := range []int{1920, 1440, 768, 390} {
				p.Do(chromedp.EmulateViewport(int64(width), 844))
				if cut := browser.Eval[[]string](p, wide); len(cut) > 0 {
					t.Errorf("wider than a screen of %d: %q", width, cut)
				}
			}
			p.Do(chromedp.EmulateViewport(703, 1000)) // 210 mm without the margins, at 96 pixels an inch
			p.Media("print", "light")
			cut := browser.Eval[[]string](p, `[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest('svg') && (e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 || e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible' && e.clientWidth > 0)).map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40))`)
			if len(cut) > 0 {
				t.Errorf("cut on paper: %q", cut)
			}
			if words := browser.Eval[[]string](p, broken); len(words) > 0 {
				t.Errorf("broken on paper: %q", words)
			}
		})
	}
}

// On a phone drawings scroll: all rows together, also those that are opened later. The trigger is in sight at first, the legend and the
// scale of a row at all times, and a histogram's bars stand beside their numbers.
func TestReportOnAPhone(t *testing.T) {
	p := browser.Open(t, reportOf(t, built(t, "softirq-stall")[0]), 390, 844)
	p.Exec(`document.querySelectorAll('details').forEach(d => { d.open = true })`)
	const settled = `new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(` // scrolling and opening are told later
	const scrolled = `[...document.querySelectorAll('details.row .scroll')].map(e => e.scrollLeft)`
	if at := browser.Eval[[]float64](p, settled+scrolled+`))))`); len(at) < 5 || at[0] == 0 || slices.Max(at)-slices.Min(at) > 1 {
		t.Errorf("rows begin at %v", at)
	}
	if n := browser.Eval[int](p, `[...document.querySelectorAll('svg path.s-trigger')].filter(e => { const x = e.getBoundingClientRect().left; return x < 0 || x > 390 }).length`); n > 0 {
		t.Errorf("%d triggers are out of sight", n)
	}
	if n := browser.Eval[int](p, `[...document.querySelectorAll('details.row')].filter(e => !e.querySelector('.key li')?.checkVisibility()).length`); n > 0 {
		t.Errorf("%d rows whose legend scrolls out of sight", n)
	}
	const scales = `[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.querySelector('svg[data-whole] g.scale text')).map(e => e.querySelector('g.scale text').getBoundingClientRect().right - e.getBoundingClientRect().left)`
	p.Exec(`document.querySelectorAll('.scroll').forEach(e => { e.scrollLeft = 300 })`)
	at := browser.Eval[[]float64](p, settled+scales+`))))`)
	if len(at) < 5 {
		t.Errorf("%d drawings scroll and have a scale", len(at))
	}
	for _, x := range at {
		if x < 10 || x > 70 {
			t.Errorf("a scale ends %v pixels from the left", x)
		}
	}
	if n := browser.Eval[int](p, `[...document.querySelectorAll('pre.histogram')].filter(e => e.getBoundingClientRect().height > 1.6 * parseFloat(getComputedStyle(e).fontSize) * (e.textContent.split("\n").length + 1)).length`); n > 0 {
		t.Errorf("%d histograms break their lines", n)
	}
	if n := browser.Eval[int](p, `document.querySelectorAll('pre.histogram').length`); n == 0 {
		t.Error("no histogram")
	}
	p.Quiet()
}
