package check

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
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

// Over every case: what is found and what caused it does not depend on the order of All,
// each finding is shown once, and every link that a check declares is drawn somewhere.
func TestOrderOfChecks(t *testing.T) {
	all, err := cases.Load("../../testdata/cases")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	drawn := map[string]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	for _, one := range all {
		c := open(t, one)
		want := answers(t, All, c, drawn)
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

// open reads a case as the analyzer does.
func open(t *testing.T, one *cases.Case) *Case {
	t.Helper()
	path, err := one.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
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
