package report

import (
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
)

// Zone is a second clock beside UTC, for readers who lived through the incident by it.
type Zone struct {
	Name     string         `json:"name"` // of the IANA database: Europe/Berlin
	Start    time.Time      `json:"start"`
	End      time.Time      `json:"end"`               // of the window, with the zone's offset
	Trigger  *time.Time     `json:"trigger,omitempty"` // of a bundle
	Location *time.Location `json:"-"`
}

// In sets the second clock, where any time is known.
func (d *Document) In(where *time.Location) {
	if !d.Window.Known() {
		return
	}
	d.Zone = &Zone{Name: where.String(), Start: d.Window.Start.In(where), End: d.Window.End.In(where), Location: where}
	if d.Bundle != nil && !d.Bundle.Trigger.Time.IsZero() {
		at := d.Bundle.Trigger.Time.In(where)
		d.Zone.Trigger = &at
	}
}

// Clock writes a time of the zone as a reader of both clocks needs it, with the zone's own name at that time:
// 05:47:11.000 CEST.
func (z *Zone) Clock(t time.Time) string { return t.In(z.Location).Format(words.ClockLayout + " MST") }

// fact says the window and the trigger by the second clock.
func (z *Zone) fact(add func(name, text string)) {
	if z == nil {
		return
	}
	text := z.Start.Format("2006-01-02 ") + z.Clock(z.Start) + " to " + z.Clock(z.End)
	if z.Trigger != nil {
		text += ", trigger at " + z.Clock(*z.Trigger)
	}
	add(z.Name, text)
}
