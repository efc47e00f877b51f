//go:build linux

package recorder

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/format/nearest"
	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

// blind says of each trigger that watches what this host cannot measure why it cannot fire, in
// one sentence, with the vital, and how many of them can never: nothing that comes later would change that.
func blind(triggers []*trigger.Trigger, columns []vital.Column) (sentences, vitals []string, never int) {
	for _, t := range triggers {
		for _, c := range t.Conditions {
			at := slices.IndexFunc(columns, func(col vital.Column) bool { return col.Name == c.Vital && (col.Source == "" || col.Shed) })
			if at < 0 {
				continue
			}
			when := "cannot fire until its vitals are there"
			if !columns[at].Late && !columns[at].Shed {
				when = "can never fire here"
				never++
			}
			// A missing condition is enough: all of them must hold at once.
			sentences = append(sentences, fmt.Sprintf("the trigger %q %s: %s cannot be measured (%s)", t.Expr, when, c.Vital, columns[at].Reason))
			vitals = append(vitals, c.Vital)
			break
		}
	}
	return sentences, vitals, never
}

// hopeless is why no trigger could ever fire, nil where one may: a recorder that looks armed and is
// not is worse than none.
func (r *Recorder) hopeless(triggers []*trigger.Trigger, patterns []*regexp.Regexp) error {
	sentences, _, never := blind(triggers, r.rings.Board.Columns())
	if never > 0 && never == len(triggers) && len(patterns) == 0 {
		return errors.New("arm the triggers: " + strings.Join(sentences, "; "))
	}
	return nil
}

// doubt tells once what the operator may not have meant.
func (r *Recorder) doubt(triggers []*trigger.Trigger) {
	sentences, vitals, _ := blind(triggers, r.rings.Board.Columns())
	if len(r.cfg.Triggers)+len(r.patterns) == 0 && len(vitals) > 0 {
		// Nobody asked for these: that they are silent is one line, and why their vitals are was said.
		sentences = []string{fmt.Sprintf("%d of the %d default triggers cannot fire here, as %s cannot be measured", len(vitals), len(triggers), strings.Join(vitals, ", "))}
	}
	for _, sentence := range sentences {
		r.cfg.Log.Warn(sentence)
	}
	for _, t := range triggers {
		if sentence := t.Doubt(); sentence != "" {
			r.cfg.Log.Warn(sentence)
		}
	}
}

// absent tells of what is not recorded: what --netns all does not widen, and named interfaces that are not there. They may come, and are recorded then;
// but a name that was spelled wrong never does.
func absent(cfg Config) {
	if cfg.AllNetNS {
		cfg.Log.Info(ownNetNS)
	}
	links, err := net.Interfaces()
	if err != nil || len(cfg.Interfaces) == 0 {
		return
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	for _, name := range cfg.Interfaces {
		if slices.Contains(names, name) {
			continue
		}
		hint := "it has " + strings.Join(names, ", ")
		if near := nearest.Name(name, names); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		cfg.Log.Warn(fmt.Sprintf("this host has no interface %s yet; %s", name, hint))
	}
}
