package check_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/report"
)

// unbacked are sentences, or parts of them, whose numbers are not in their finding's evidence, and why.
var unbacked = []struct {
	text *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`In the whole window they sent [^.]*\.`), "the engine's counts by mechanism, which analyzer/flow holds to the kernel's"},
	{regexp.MustCompile(`\((read member|the packets are damaged|nothing for)[^)]*\)?`), "the text of an error"},
	{regexp.MustCompile(`; \d+ more\)`), "as many pieces of evidence stand below"},
	{regexp.MustCompile(`\bcovers .* missing from \S+`), "how much of a text was read"},
	{regexp.MustCompile(`In the worst second NET_RX took [^.]*\.|The samples of its long softirqs are [^.]*%`), "a rate, and a share of samples"},
	{regexp.MustCompile(`Tasks had to wait for a CPU for up to [\d.]+ %`), "cpu-saturated's"},
	{regexp.MustCompile(`From the trigger to the end it used \S+ \S+ of CPU time in [\d.]+ s`), "two readings of a process, in ticks"},
	{regexp.MustCompile(`Meanwhile \S+, which it asks, took [^:]*:`), "slow-upstream's"},
	{regexp.MustCompile(`left this host up to [\d.]+ \S+ after`), "between two frames of the example"},
	{regexp.MustCompile(`within \S+( s)? \([\d,]+ / [\d.,]+/s\)`), "the arithmetic stands beside it"},
	{regexp.MustCompile(`No route led to \d+ clients`), "one for each SYN without an answer"},
	{regexp.MustCompile(`It cut off a request or data in \d+`), "of the connections, which flows lists"},
	{regexp.MustCompile(`has passed \d+ routers`), "255, 128 or 64 less the TTL"},
	{regexp.MustCompile(`\(\d+ rules?, policy \w+\)`), "netfilter.json's"},
	{regexp.MustCompile(`bursts wait there, for \S+ \S+`), "the new size by the pace of the window"},
	{regexp.MustCompile(`entries of some 328 bytes are at most [\d.]+ [KMG]iB`), "entryBytes"},
	{regexp.MustCompile(`each for 60 s, are [\d,]+ more`), "the kernel's TIME_WAIT"},
	{regexp.MustCompile(`It costs up to [\d.]+ [KMG]iB of memory`), "what a socket in TIME_WAIT takes"},
	{regexp.MustCompile(`[\d,]+ / 60 s allow [\d,.]+/s`), "the arithmetic stands there"},
	{regexp.MustCompile(`[\d.]+ Mbit/s at 100 ms`), "half of the proposed buffer a round trip"},
	{regexp.MustCompile(`up to [\d.]+ MiB of the machine's [\d.]+ GiB`), "twice tcp_mem in pages, and the host's memory"},
	{regexp.MustCompile(`at up to 64 KB each: [\d.]+ MiB`), "ip-sysctl.rst, tcp_max_orphans"},
	{regexp.MustCompile(`some 500 bytes|at least 768 bytes|12 bytes a packet|for 15 s \d+|2 for 7 s|for [\d.]+ s, 2`), "what the kernel takes of each"},
	{regexp.MustCompile(`options timeout:1 attempts:2|Linux \d\.\d+|type \d+( code \d+)?|icmp\.type == \d+|-s \d+`), "options and names"},
}

// names are what has digits and is no number.
var names = regexp.MustCompile(strings.Join([]string{
	`\d+\.\d+\.\d+\.\d+(:\d+|/\d+)?`, `\[?([0-9a-f]*:){2,}[0-9a-f.]*\]?(:\d+|/\d+)?`, `\*:\d+`, `\b\d\d:\d\d:\d\d(\.\d+)?`, `pids? \d+`, `CPUs? \d+`, `port \d+`,
	`since \d\.\d+`, `code \d+`, `[A-Za-z_][\w.-]*\d[\w.:/-]*`, `\b[0-9a-f]+:\)`, `from [13] s\b`,
}, "|"))

var (
	clockwise = regexp.MustCompile(`(?:(\d+)h)?(\d+)m(\d+)s`) // 1h2m3s
	figure    = regexp.MustCompile(`(\d[\d,]*(?:\.\d+)?)((?:, \d+(?:\.\d+)?)*)(?: ?(?:(ms|µs|s|B|MiB|KiB|GiB|h)\b|(%)))?`)
	scales    = map[string]float64{"": 1, "ms": 1e-3, "µs": 1e-6, "s": 1, "%": 0.01, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "h": 3600}
)

// number is one as it was said, and by how much rounding may have changed it.
type number struct {
	said         string
	value, exact float64
}

// figures takes the numbers out of a text.
func figures(text string) (all []number) {
	text = clockwise.ReplaceAllStringFunc(text, func(s string) string {
		d, _ := time.ParseDuration(s)
		return strconv.Itoa(int(d.Seconds())) + " s"
	})
	for _, m := range figure.FindAllStringSubmatch(names.ReplaceAllString(text, "#"), -1) {
		scale := scales[m[3]+m[4]]
		for _, word := range strings.Split(m[1]+m[2], ", ") {
			plain := strings.ReplaceAll(strings.TrimRight(word, ","), ",", "")
			v, err := strconv.ParseFloat(plain, 64)
			if err != nil {
				continue
			}
			_, decimals, _ := strings.Cut(plain, ".")
			half := 0.5 * math.Pow10(-len(decimals)) * scale
			all = append(all, number{m[0], v * scale, max(half, v*scale*0.005) * 1.01})
		}
	}
	return all
}

// evidenceOf gives the numbers that a finding rests on.
func evidenceOf(f *check.Finding, doc *report.Document) (all []float64) {
	texts := []string{}
	for _, e := range f.Evidence {
		for _, v := range []*float64{e.Value, e.Limit, e.Of, e.Usual} {
			if v != nil {
				all = append(all, math.Abs(*v))
			}
		}
		texts = append(texts, e.Text, e.Where)
	}
	for _, r := range f.Remedy {
		texts = append(texts, r.Current, r.Proposed)
	}
	for _, l := range check.Find(f.ID).Limits {
		all = append(all, l.Value)
	}
	for _, e := range f.Flows {
		all = append(append(all, e.SYNOffsets...), e.SYNACKOffsets...)
	}
	if doc.Bundle != nil {
		all = append(all, float64(doc.Bundle.Host.CPUs))
	}
	for _, text := range texts {
		for _, n := range figures(text) {
			all = append(all, n.value)
		}
	}
	return append(all, f.End.Sub(f.Start).Seconds(), 0)
}

// has says whether a number is one of some, or follows from two of them: a share, a rate, a difference, a sum, a product.
func (n number) has(all []float64) bool {
	near := func(v float64) bool { return math.Abs(v-n.value) <= n.exact }
	for _, a := range all {
		if near(a) {
			return true
		}
	}
	for _, a := range all {
		for _, b := range all {
			if b != 0 && near(a/b) || near(a-b) || near(a+b) || near(a*b) {
				return true
			}
		}
	}
	return false
}

// backed fails where a sentence has a number that its evidence does not have: a reader who looks it up must find it. What a
// verdict says of its own are counts of the document.
func backed(t *testing.T, doc *report.Document) {
	t.Helper()
	verdict := doc.Verdict
	for _, f := range doc.Findings {
		all := evidenceOf(f, doc)
		sentences := []string{f.Headline, f.Detail, f.Effect()}
		for _, r := range f.Remedy {
			sentences = append(sentences, r.What)
		}
		for _, text := range sentences {
			for _, n := range figures(excuse(text)) {
				if !n.has(all) {
					t.Errorf("%s says %q, and its evidence does not: %s", f.ID, n.said, text)
				}
			}
		}
		for _, told := range []string{f.Headline, f.Effect(), "(" + f.Object + ")"} {
			verdict = strings.ReplaceAll(verdict, told, "")
		}
	}
	all := []float64{float64(doc.Totals.Packets), float64(doc.Totals.Flows), float64(len(doc.Unknown)), float64(len(doc.Absent)), float64(len(doc.Findings)), 1}
	for _, u := range doc.Totals.Undecoded {
		all = append(all, float64(u.Packets))
	}
	for _, m := range doc.Moved {
		all = append(all, m.Value, m.Usual)
	}
	for _, n := range figures(ofVerdicts.ReplaceAllString(verdict, "")) {
		if !n.has(all) {
			t.Errorf("the verdict says %q of its own: %s", n.said, doc.Verdict)
		}
	}
}

// ofVerdicts is what a verdict says of checks by their kinds of unknown, the operator's words, and names.
var ofVerdicts = regexp.MustCompile(`\d+( of \d+)? checks|"[^"]*"|link type \d+`)

// excuse takes out what has numbers of other places.
func excuse(text string) string {
	for _, u := range unbacked {
		text = u.text.ReplaceAllString(text, "")
	}
	return text
}
