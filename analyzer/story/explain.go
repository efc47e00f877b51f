package story

import (
	"slices"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/listing"
	"github.com/spikebox/spikebox/analyzer/subject"
)

// drawer draws what explains a finding; nil where the evidence does not have it.
type drawer func(*teller, *check.Finding) *Exhibit

// drawers says what explains the findings of a check, what explains most first. A check that is not
// listed is explained by the series in its evidence.
var drawers = map[string][]drawer{
	"listen-overflow":      {(*teller).handshake, (*teller).queue},
	"app-stalled":          {(*teller).queue, (*teller).handshake},
	"syn-retransmit":       {(*teller).handshake},
	"synack-retransmit":    {(*teller).handshake},
	"local-drop":           {(*teller).handshake},
	"connect-failed":       {(*teller).attempt, (*teller).handshake},
	"syn-flood":            {(*teller).flood, (*teller).handshake},
	"syn-recv-pileup":      {(*teller).handshake},
	"no-route":             {(*teller).handshake},
	"neighbour-failed":     {(*teller).handshake},
	"deferred-accept":      {(*teller).handshake},
	"conntrack-full":       {(*teller).conntrackFill, (*teller).handshake},
	"conntrack-pressure":   {(*teller).conntrackFill},
	"conntrack-hog":        {(*teller).conntrackFill},
	"port-exhaustion":      {(*teller).portsFill},
	"tcp-memory":           {(*teller).memoryFill},
	"retransmission-burst": {(*teller).lossSequence},
	"loss-ratio":           {(*teller).lossSequence},
	"qdisc-drop":           {(*teller).lossSequence},
	"nic-drop":             {(*teller).telling, (*teller).lossSequence},
	"softnet-drop":         {(*teller).backlog, (*teller).heat, (*teller).lossSequence},
	"peer-vanished":        {(*teller).lossSequence},
	"pmtu-blackhole":       {(*teller).lossSequence},
	"zero-window":          {(*teller).windowSequence},
	"window-shrunk":        {(*teller).windowSequence},
	"tcp-collapse":         {(*teller).heat, (*teller).flame, (*teller).bytesSequence},
	"softirq-stall":        {(*teller).heat, (*teller).flame},
	"lost-between":         {(*teller).places, (*teller).lostBySecond},
	"held-between":         {(*teller).places, (*teller).heldBySecond},
	"rtt-spike":            {(*teller).roundTrips},
	"qdisc-backlog":        {(*teller).roundTrips},
	"echo-delayed":         {(*teller).pings, (*teller).roundTrips},
	"irq-imbalance":        {(*teller).busy},
	"cpu-saturated":        {(*teller).busy, (*teller).queue},
	"slow-application":     {(*teller).answer, (*teller).answers},
	"slow-upstream":        {(*teller).answer, (*teller).answers},
	"reset-storm":          {(*teller).reset},
	"middlebox-reset":      {(*teller).reset},
	"connection-refused":   {(*teller).reset},
}

// mostExhibits bounds the drawings of the first screen and behind it.
const mostExhibits = 4

// explain draws what explains the incident: of the worst root, then of what it causes.
func (t *teller) explain() []Exhibit {
	var all []Exhibit
	names := map[string]bool{}
	for _, f := range t.incident() {
		if t.onlyMoved() {
			break
		}
		for _, draw := range drawers[f.ID] {
			if e := draw(t, f); e != nil && len(all) < mostExhibits && !names[e.Picture.Name] {
				names[e.Picture.Name] = true
				all = append(all, *e)
			}
		}
	}
	// Who gives several inputs asks for it, whatever else has happened.
	if b := t.Doc.Between; b != nil && len(b.Clocks) > 1 && !names["places"] {
		if e := t.places(nil); e != nil {
			all = append(all, *e)
		}
	}
	if len(all) == 0 {
		if e := t.untold(); e != nil {
			all = append(all, *e)
		}
	}
	return all
}

// sequenceKeys says by which key the connection is picked that is drawn for a check.
var sequenceKeys = map[string]string{
	"retransmission-burst": "retransmits", "loss-ratio": "retransmits", "qdisc-drop": "retransmits", "nic-drop": "retransmits",
	"softnet-drop": "retransmits", "peer-vanished": "retransmits", "pmtu-blackhole": "retransmits",
	"zero-window": "zero-windows", "window-shrunk": "zero-windows", "tcp-collapse": "bytes",
	"slow-application": "think", "slow-upstream": "think", "reset-storm": "", "middlebox-reset": "", "connection-refused": "",
}

const (
	// mostProofs bounds the findings whose example connections are shown packet by packet.
	mostProofs = 24
	// mostFlows is how many of a finding's example connections that is.
	mostFlows = 2
)

// want says which connections' packets the second pass keeps.
func (t *teller) want() {
	for _, f := range t.Doc.Findings[:min(len(t.Doc.Findings), mostProofs)] {
		for i := range f.Flows[:min(len(f.Flows), mostFlows)] {
			t.add(endsOf(&f.Flows[i]))
		}
	}
	for _, f := range t.incident() {
		if _, ok := sequenceKeys[f.ID]; !ok {
			continue
		}
		if who := t.worst(f); who != nil {
			who.drawn = true
		}
	}
}

// add wants a connection; the same one twice is one.
func (t *teller) add(e ends) *wanted {
	if w := t.wanted[e]; w != nil {
		return w
	}
	w := &wanted{ends: e}
	t.wanted[e] = w
	t.order = append(t.order, w)
	return w
}

// worst picks the connection that shows a finding best: its own first example, or of those that are about
// its subjects the first by the check's key. Nil where there is none.
func (t *teller) worst(f *check.Finding) *wanted {
	if len(f.Flows) > 0 {
		return t.add(endsOf(&f.Flows[0]))
	}
	rows := t.Flows.top(sequenceKeys[f.ID])
	if slices.ContainsFunc(f.Subjects, addressed) {
		rows = slices.DeleteFunc(rows, func(r *listing.Row) bool { return !about(f, r) })
	}
	var first *listing.Row
	if len(rows) > 0 {
		first = rows[0]
	}
	if first == nil {
		return nil
	}
	w := t.add(rowEnds(first))
	w.from, w.to = first.First.UnixNano(), first.Last.UnixNano()
	return w
}

// addressed says whether connections can be about a subject.
func addressed(s subject.Subject) bool {
	switch s.Kind() {
	case subject.KindListener, subject.KindService, subject.KindPeer, subject.KindNetwork, subject.KindFlow:
		return true
	}
	return false
}

// about says whether a connection is one of those that a finding is about.
func about(f *check.Finding, r *listing.Row) bool {
	e := rowEnds(r)
	flow := subject.Flow{Client: e.client, Server: e.server}
	for _, s := range f.Subjects {
		if subject.Meets(s, flow) {
			return true
		}
	}
	return false
}
