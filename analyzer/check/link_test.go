package check

import (
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
)

// told is a check that always finds one thing: at an offset, about subjects.
func told(id string, at time.Duration, v Variant, about ...subject.Subject) *Check {
	return &Check{ID: id, Title: id, run: func(*Case) Answer {
		return present(&Finding{
			Severity: Warning, Object: id, Variant: v, Subjects: about, Remedy: []Remedy{{What: "mend " + id}},
			Start: cases.Start.Add(at), End: cases.Start.Add(at + time.Second),
		})
	}}
}

// A link joins findings that meet on its kind of subject, within its slack, and are of the
// variants that it names.
func TestLink(t *testing.T) {
	listener := subject.Listener{Addr: netip.MustParseAddrPort("0.0.0.0:80")}
	service := subject.Service{Addr: netip.MustParseAddrPort("192.0.2.1:80")}
	other := subject.Service{Addr: netip.MustParseAddrPort("192.0.2.1:81")}
	for name, tt := range map[string]struct {
		cause *Check
		about subject.Subject
		link  Link
		want  bool
	}{
		"same listener":     {told("c", 0, "", listener), service, Link{On: subject.KindListener}, true},
		"another service":   {told("c", 0, "", listener), other, Link{On: subject.KindListener}, false},
		"no subject":        {told("c", 0, ""), service, Link{On: subject.KindListener}, false},
		"on another kind":   {told("c", 0, "", listener), service, Link{On: subject.KindProcess}, false},
		"the whole host":    {told("c", 0, ""), service, Link{On: subject.KindHost}, true},
		"too early":         {told("c", -4*time.Second, ""), service, Link{On: subject.KindHost}, false},
		"within the slack":  {told("c", -4*time.Second, ""), service, Link{On: subject.KindHost, Slack: counterSlack}, true},
		"beyond the slack":  {told("c", -5*time.Second, ""), service, Link{On: subject.KindHost, Slack: counterSlack}, false},
		"of the variant":    {told("c", 0, "late"), service, Link{On: subject.KindHost, CauseVariant: "late", EffectVariant: "effect"}, true},
		"cause of another":  {told("c", 0, "lost"), service, Link{On: subject.KindHost, CauseVariant: "late"}, false},
		"effect of another": {told("c", 0, ""), service, Link{On: subject.KindHost, EffectVariant: "late"}, false},
	} {
		effect := told("e", 0, "effect", tt.about)
		tt.link.Cause, tt.link.Because = tt.cause, "so it is"
		effect.Causes = []Link{tt.link}
		findings := Findings(Run([]*Check{effect, tt.cause}, &Case{Evidence: &evidence.Evidence{}}))
		e, c := findings[0], findings[1]
		if e.Root() == tt.want || len(e.Remedy) == 0 != tt.want || slices.Contains(c.Effects(findings), e) != tt.want || !c.Root() {
			t.Errorf("%s: caused by %+v, remedy %v; want linked: %v", name, e.Causes, e.Remedy, tt.want)
		}
		if want := (Cause{ID: "c", Object: "c", Because: "so it is"}); tt.want && !cmp.Equal(e.Causes, []Cause{want}) {
			t.Errorf("%s: causes %+v, want %+v", name, e.Causes, want)
		}
	}
}

// What is known to have begun before its supposed cause is not its effect, however long both went on together; what is not known to
// have may be.
func TestLinkOnset(t *testing.T) {
	const early, late = int64(1e9), int64(2e9)
	for name, tt := range map[string]struct {
		cause, effect onset
		want          bool
	}{
		"effect first":            {onset{early: late + 1}, onset{late: late}, false},
		"at the same time":        {onset{early: late}, onset{late: late}, true},
		"cause first":             {onset{early: early}, onset{late: late}, true},
		"nobody knows of a cause": {onset{late: late}, onset{late: early}, true},
		"nor of an effect":        {onset{early: late}, onset{early: early}, true},
	} {
		cause, effect := told("c", 0, ""), told("e", 0, "")
		effect.Causes = []Link{{Cause: cause, On: subject.KindHost, Because: "so it is"}}
		for check, o := range map[*Check]onset{cause: tt.cause, effect: tt.effect} {
			run := check.run
			check.run = func(c *Case) Answer {
				a := run(c)
				a.Findings[0].onset = o
				return a
			}
		}
		// The window begins long before: else the evidence would not go back to any onset.
		findings := Findings(Run([]*Check{cause, effect}, &Case{Evidence: &evidence.Evidence{}, Window: timeline.Span{Start: -1e9, End: 9e9}}))
		if got := !findings[1].Root(); got != tt.want {
			t.Errorf("%s: linked %v, want %v", name, got, tt.want)
		}
	}
}

// A finding that is as old as the evidence, or of which some was lost, may have begun before: its onset is not known.
func TestUnseenBefore(t *testing.T) {
	const second = int64(1e9)
	packets := &evidence.Packets{First: 5 * second}
	for name, tt := range map[string]struct {
		packets *evidence.Packets
		lost    bool
		early   int64
		want    int64
	}{
		"in the middle":                {nil, false, 7 * second, 7 * second},
		"as old as the window":         {nil, false, 2 * second, 0},
		"as old as the packets":        {packets, false, 5*second + 1, 0},
		"younger than the packets":     {packets, false, 7 * second, 7 * second},
		"where evidence has been lost": {nil, true, 7 * second, 0},
	} {
		f := &Finding{onset: onset{tt.early, 8 * second}, AtLeast: tt.lost}
		f.unseenBefore(&Case{Evidence: &evidence.Evidence{Packets: tt.packets}, Window: timeline.Span{Start: 2 * second, End: 9 * second}})
		if f.onset != (onset{tt.want, 8 * second}) {
			t.Errorf("%s: %v, want early %d", name, f.onset, tt.want)
		}
	}
}

// A counter's onset lies between two readings; of its first reading nobody knows the one before.
func TestOnsetOf(t *testing.T) {
	c := &Case{Window: timeline.Span{Start: 0, End: 20e9}}
	for name, tt := range map[string]struct {
		v    []float64
		want onset
	}{
		"one run":        {[]float64{0, 0, 3, 1, 0}, onset{2e9, 3e9}},
		"a blip before":  {[]float64{0, 1, 0, 0, 0, 0, 3, 1, 1, 0}, onset{1e9, 7e9}},
		"from the first": {[]float64{4, 3, 0}, onset{0, 1e9}},
	} {
		s := &timeline.Series{Counts: true, V: tt.v}
		for i := range tt.v {
			s.T = append(s.T, int64(i+1)*1e9)
		}
		if b, ok := c.burst(s); !ok || b.onset != tt.want {
			t.Errorf("%s: %v, want %v", name, b.onset, tt.want)
		}
	}
}

// Effects stand in the order in which they began, and those of the same second in the order of severity.
func TestInTime(t *testing.T) {
	at := func(id string, ms int) *Finding {
		return &Finding{ID: id, Start: cases.Start.Add(time.Duration(ms) * time.Millisecond)}
	}
	all := []*Finding{at("critical", 5000), at("late", 9000), at("same", 4500), at("first", 100), at("third", 5500)}
	var got []string
	for _, f := range InTime(all) {
		got = append(got, f.ID)
	}
	if diff := cmp.Diff([]string{"first", "critical", "same", "third", "late"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// One peer that fell silent is why it is sent everything again, and not why many others are.
func TestOfMostPeers(t *testing.T) {
	peer := func(n byte) subject.Subject { return subject.Peer{Addr: netip.AddrFrom4([4]byte{198, 51, 100, n})} }
	one, two, four := []subject.Subject{peer(1)}, []subject.Subject{peer(1), peer(2)}, []subject.Subject{peer(1), peer(2), peer(3), peer(4)}
	net := []subject.Subject{subject.Network{Prefix: netip.MustParsePrefix("198.51.100.0/24")}}
	for name, tt := range map[string]struct {
		cause, effect []subject.Subject
		want          bool
	}{
		"its own": {one, one, true}, "half": {two, four, true}, "one of four": {one, four, false}, "a network's": {net, four, true},
	} {
		if got := ofMostPeers(&Finding{Subjects: tt.cause}, &Finding{Subjects: tt.effect}); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The causes of an effect stand in the order of its literal, whatever the order of checks.
func TestLinkOrder(t *testing.T) {
	var causes []*Check
	var links []Link
	for _, id := range []string{"third", "first", "second"} {
		c := told(id, 0, "")
		causes = append(causes, c)
		links = append(links, Link{Cause: c, On: subject.KindHost, Because: id})
	}
	effect := told("effect", 0, "")
	effect.Causes = links
	all := append(causes, effect)
	for range 50 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, f := range Findings(Run(all, &Case{Evidence: &evidence.Evidence{}})) {
			if got := strings.Join(f.CausedBy, " "); f.ID == "effect" && got != "third first second" {
				t.Fatalf("causes %q, want the literal's order", got)
			}
		}
	}
}

// Over every case: what is found and what caused it is the same when it is read again, and does not depend on the order of All,
// each finding is shown once, and every link that a check declares is drawn somewhere.
func TestOrderOfChecks(t *testing.T) {
	all, err := cases.Load("../../testdata/cases")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	drawn := map[string]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	for _, one := range all {
		path := build(t, one)
		c := read(t, path)
		want := answers(t, All, c, drawn)
		if diff := cmp.Diff(want, answers(t, All, read(t, path), drawn)); diff != "" {
			t.Fatalf("%s: read again (-want +got):\n%s", one.Name, diff)
		}
		shuffled := slices.Clone(All)
		for range 5 {
			r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if diff := cmp.Diff(want, answers(t, shuffled, c, drawn)); diff != "" {
				t.Fatalf("%s: in another order of checks (-want +got):\n%s", one.Name, diff)
			}
		}
	}
	// What is lost from one place to the next takes two of them.
	for _, run := range []string{"plain", "nat"} {
		e, err := evidence.Read(captures.Ours(t, "two-places/"+run+"/*.pcap.zst"), evidence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		answers(t, All, NewCase(e, timeline.Build(&e.Columns)), drawn)
	}
	for _, k := range All {
		for _, l := range k.Causes {
			if !drawn[k.ID+l.Because] {
				t.Errorf("no case draws %s as a cause of %s (%s)", l.Cause.ID, k.ID, l.Because)
			}
		}
	}
}

// build makes a case's bundle.
func build(t *testing.T, one *cases.Case) string {
	t.Helper()
	path, err := one.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// read reads it as the analyzer does.
func read(t *testing.T, path string) *Case {
	t.Helper()
	e, err := evidence.Read([]string{path}, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return NewCase(e, timeline.Build(&e.Columns))
}

// answers gives each check's answer as JSON, and notes the links that were drawn.
func answers(t *testing.T, checks []*Check, c *Case, drawn map[string]bool) map[string]string {
	t.Helper()
	results := Run(checks, c)
	if findings := Findings(results); len(Ordered(findings)) != len(findings) {
		t.Errorf("%d of %d findings are shown", len(Ordered(findings)), len(findings))
	}
	told := map[string]string{}
	for _, r := range results {
		text, err := json.Marshal(r.Answer)
		if err != nil {
			t.Fatal(err)
		}
		told[r.Check.ID] = string(text)
		for _, f := range r.Findings {
			for _, cause := range f.Causes {
				drawn[r.Check.ID+cause.Because] = true
			}
		}
	}
	return told
}

// A level that rose began behind its last calm reading, and nobody knows when where none was.
func TestRose(t *testing.T) {
	calm := func(v float64) bool { return v < 0.1 }
	for name, tt := range map[string]struct {
		v    []float64
		want onset
	}{
		"at once":        {[]float64{0, 0, 0, 0, 0.9, 1}, onset{4e9, 5e9}},
		"grew before":    {[]float64{0, 0, 0.3, 0.4, 0.9, 1}, onset{2e9, 5e9}},
		"calm once more": {[]float64{0, 0.3, 0, 0.4, 0.9, 1}, onset{3e9, 5e9}},
		"never calm":     {[]float64{0.3, 0.3, 0.2, 0.4, 0.9, 1}, onset{0, 5e9}},
		"not read":       {[]float64{0, math.NaN(), math.NaN(), math.NaN(), 0.9, 1}, onset{1e9, 5e9}},
	} {
		s := &timeline.Series{V: tt.v, T: []int64{1e9, 2e9, 3e9, 4e9, 5e9, 6e9}}
		if got := rose(s, timeline.Span{Start: 4e9, End: 6e9}, calm); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// What a long round trip does comes before it is known how long it was: calm was only what ended so long before as it took.
func TestCalmUntil(t *testing.T) {
	var columns column.Columns
	for at, v := range []float64{0.01, 0.01, 0.5, 1.5} {
		row, _ := columns.Row("vitals.csv", int64(at+1)*1e9)
		row.Put(column.Gauge, "s", v, "rtt.max")
	}
	c := &Case{Lines: timeline.Build(&columns)}
	s := &spike{limit: 0.2, most: 1.5, span: timeline.Span{Start: 3e9, End: 4e9}}
	if got := s.calmUntil(c); got != 5e8 {
		t.Errorf("calm until %d, want 0.5 s", got)
	}
	s.limit = 0.02
	if got := s.calmUntil(c); got != 0 {
		t.Errorf("calm until %d where no reading was calm", got)
	}
}

// A single thread, or one that a signal stopped with all others, did not stand still while it answered; of several that wait one
// may have hung long before.
func TestRan(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.10:8080")
	s := &member.Socket{At: member.AtEnd, State: "LISTEN", Local: at.Addr(), LocalPort: at.Port(), Process: []member.Process{{PID: 7}}}
	packets := &evidence.Packets{Traffic: []*traffic.Service{{Server: at, Answers: []traffic.Answers{{At: 3, N: 1}, {At: 5, N: 2}, {At: 9, N: 1}}}},
		Local: map[netip.Addr]bool{at.Addr(): true}}
	for name, tt := range map[string]struct {
		state   string
		threads int
		want    int64
	}{
		"stopped": {"T", 9, 5e9}, "one thread": {"S", 1, 5e9}, "several threads": {"S", 9, 0},
	} {
		c := &Case{Evidence: &evidence.Evidence{Packets: packets, Sockets: []member.Socket{*s},
			Processes: []member.ProcessUse{{PID: 7, At: member.AtEnd, State: tt.state, Threads: tt.threads}}}}
		if got := c.ran(s, 6e9); got != tt.want {
			t.Errorf("%s: ran until %d, want %d", name, got, tt.want)
		}
	}
}

// Who waits sends nothing: a recording that says until when it holds all packets is heard to that end, and a copy that was cut short
// only to its last packet.
func TestListened(t *testing.T) {
	held := []packet.Interface{{From: 1e9, To: 20e9}}
	for name, tt := range map[string]struct {
		p    evidence.Packets
		want int64
	}{
		"held to the end":     {evidence.Packets{Interfaces: held}, 12e9},
		"nothing says so":     {evidence.Packets{Interfaces: []packet.Interface{{}}}, 8e9},
		"forgotten at 10 s":   {evidence.Packets{Interfaces: []packet.Interface{{From: 1e9, To: 10e9}}}, 10e9},
		"cut short":           {evidence.Packets{Interfaces: held, Broken: io.ErrUnexpectedEOF}, 8e9},
		"a capture cut short": {evidence.Packets{Interfaces: held, Damage: []*packet.DamageError{{}}}, 8e9},
	} {
		p := tt.p
		p.First, p.Last, p.PerIface = 2e9, 8e9, []uint64{9}
		p.Totals.Packets = 9
		c := &Case{Evidence: &evidence.Evidence{Packets: &p}, Window: timeline.Span{End: 12e9}}
		if got := c.listened(); got != tt.want {
			t.Errorf("%s: until %d, want %d", name, got, tt.want)
		}
	}
}
