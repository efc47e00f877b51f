//go:build linux

package recorder

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/capture"
)

// memory says how much the packet rings take, and how far back they reach as packets come now.
func (r *Recorder) memory() string {
	if r.rings.Packets == nil {
		return ""
	}
	all := r.rings.Packets.Status()
	bytes, rate, over := 0, 0., time.Duration(0)
	for _, s := range all {
		bytes += s.RingBytes
		rate += s.Reach.Rate
		over = max(over, s.Reach.Over)
	}
	if bytes == 0 {
		return ""
	}
	text := "packet rings of " + unit.Size(int64(bytes))
	if _, why := r.cfg.ringBytes(); why != "" {
		text += ", " + why
	}
	if lines := r.short(all); len(lines) > 0 {
		return text + "; " + strings.Join(lines, "; ")
	}
	return fmt.Sprintf("%s: they reach back %v and more at the %s packets/s of the last %s", text, r.cfg.Before, unit.Count(int64(rate)), unit.Duration(over))
}

// short says of each ring that does not reach back Before, as packets come now, how far it does.
func (r *Recorder) short(all []capture.Status) (lines []string) {
	for _, s := range all {
		if s.Reach.Need > 0 {
			lines = append(lines, s.Name+" "+far(s.Reach, r.cfg.Before))
		}
	}
	return lines
}

// far says how far back a ring reaches that does not for long enough.
func far(r capture.Reach, before time.Duration) string {
	text := fmt.Sprintf("reaches back %s, and not the %v of --before, at %s packets/s", unit.Duration(r.Back), before, unit.Count(int64(r.Rate)))
	switch {
	case r.Off:
		return text + fmt.Sprintf(", as packing is shed for the CPU budget: a larger one would hold more, or --ring %s", unit.FormatSize(int64(r.Need)))
	case r.Slow:
		return text + fmt.Sprintf(", which is more than --pack-cpu packs: a larger share would hold more, or --ring %s", unit.FormatSize(int64(r.Need)))
	}
	return text + fmt.Sprintf(": --ring %s would hold it", unit.FormatSize(int64(r.Need)))
}

// farEvery is how often it is looked whether the rings reach back far enough: as long as a rate is counted.
const farEvery = 10 * time.Second

// warn says in the log where a ring has come not to reach back Before, and where all do again.
func (r *Recorder) warn(now time.Time) {
	if r.rings.Packets == nil || now.Sub(r.looked) < farEvery {
		return
	}
	first := r.looked.IsZero()
	r.looked = now
	all := r.rings.Packets.Status()
	var names []string
	for _, s := range all {
		if s.Reach.Need > 0 {
			names = append(names, s.Name)
		}
	}
	if first || slices.Equal(names, r.shorts) { // armed has said it
		r.shorts = names
		return
	}
	r.shorts = names
	for _, line := range r.short(all) {
		r.cfg.Log.Warn("the packet ring of " + line)
	}
	if len(names) == 0 {
		r.cfg.Log.Info(fmt.Sprintf("the packet rings reach back %v again", r.cfg.Before))
	}
}
