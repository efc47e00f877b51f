//go:build linux

package freeze

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// extent is how much of what was recorded a bundle has. Where there is no room for one, the
// next is tried: what takes most room goes first, and what tells most stays longest.
type extent int

const (
	whole       extent = iota
	nearPackets        // packets around the trigger only
	noPackets
	fewSnapshots // and one snapshot in ten
	smallest     // vitals, queues, kernel log, events, sockets: at most 1 MiB, whatever the host
)

// String says what is in it.
func (x extent) String() string {
	return [...]string{"everything", fmt.Sprintf("packets from %v before the trigger to %v behind it", nearBefore, nearAfter),
		"no packets", "no packets, and one snapshot in ten", "vitals, queues, kernel log, events and sockets"}[x]
}

// snapshotsKept is the part of the snapshots that fewSnapshots has: a counter every second
// becomes one every ten, of which differences are still to be had.
const snapshotsKept = 10

// The texts of the smallest bundle are cut to these, in bytes before compression. It may
// take 1 MiB of the disk; JSON of random addresses and numbers, the worst there is, is
// compressed to a third; the rest is for the manifest.
const (
	smallLines = 768 << 10 // of vitals, events and sockets each
	smallLog   = 128 << 10 // of the kernel log and of listeners' queues each
)

// small is what the smallest bundle has, and the most bytes of each.
var small = []struct {
	name string
	most int
}{
	{member.VitalsName, smallLines},
	{member.ListenersName, smallLog},
	{member.KmsgName, smallLog},
	{member.EventsName, smallLines},
	{member.SocketsName, smallLines},
}

// has says whether an extent has a member, or anything of a folder.
func (x extent) has(name string) bool {
	if x < smallest {
		return name != member.PacketsName || x < noPackets
	}
	for _, s := range small {
		if s.name == name {
			return true
		}
	}
	return false
}

// cut says what an extent has of a member that it does not have as a whole, empty otherwise.
func (x extent) cut(name string, trimmed map[string]bool) string {
	switch {
	case x == nearPackets && name == member.PacketsName:
		return "only " + x.String() + " are in it"
	case x == fewSnapshots && name == member.SnapshotFolder:
		return fmt.Sprintf("one snapshot in %d is in it", snapshotsKept)
	case x == smallest && trimmed[name]:
		return fmt.Sprintf("of %s only the lines nearest to the trigger are in it", name)
	}
	return ""
}

// narrow puts into a manifest what an extent leaves out, and why: in every source that had
// it, and in a warning. The manifest's sources are replaced, not changed.
func (x extent) narrow(m *format.Manifest, why string, trimmed map[string]bool) {
	if x == whole {
		return
	}
	m.Sources = slices.Clone(m.Sources)
	for i := range m.Sources {
		s := &m.Sources[i]
		var kept, gone, reasons []string
		for _, name := range s.Members {
			if !x.has(name) {
				gone = append(gone, name)
				continue
			}
			kept = append(kept, name)
			if cut := x.cut(name, trimmed); cut != "" {
				reasons = append(reasons, cut)
			}
		}
		if len(gone) > 0 {
			reasons = append(reasons, "left out: "+strings.Join(gone, ", "))
		}
		if len(reasons) == 0 {
			continue
		}
		// What was incomplete before keeps its reason: that one tells of the recording.
		reason := strings.Join(reasons, "; ") + " (" + why + ")"
		if s.Reason != "" {
			reason = s.Reason + "; " + reason
		}
		s.Reason, s.Members, s.State = reason, kept, format.Partial
		if len(kept) == 0 {
			s.State = format.Failed
		}
		s.Details = maps.Clone(s.Details)
	}
	m.Warnings = append(slices.Clone(m.Warnings), fmt.Sprintf("this bundle has %v, not everything: %s", x, why))
}

// around cuts lines that begin with their times, oldest first, to at most bytes: those
// before at take three quarters, for there the incident begins. A header is kept.
func around(text []byte, at time.Time, most int, header bool) []byte {
	if len(text) <= most {
		return text
	}
	var head []byte
	if end := bytes.IndexByte(text, '\n') + 1; header {
		head, text = text[:end], text[end:]
		most -= len(head)
	}
	// Found line by line and not by halving: there is not one length of lines.
	split := len(text)
	for pos := 0; pos < len(text); {
		if lineTime(text[pos:]) > at.UnixNano() {
			split = pos
			break
		}
		end := bytes.IndexByte(text[pos:], '\n')
		if end < 0 {
			break
		}
		pos += end + 1
	}
	before, after := text[:split], text[split:]
	after = firstLines(after, most-min(len(before), most*3/4))
	if room := most - len(after); len(before) > room {
		before = before[len(before)-room:]
		before = before[bytes.IndexByte(before, '\n')+1:]
	}
	return slices.Concat(head, before, after)
}

// firstLines is as many whole lines as fit.
func firstLines(text []byte, most int) []byte {
	if len(text) <= most {
		return text
	}
	return text[:bytes.LastIndexByte(text[:max(most, 0)], '\n')+1]
}

// lineTime reads the number that a line of CSV, of the kernel log or of JSON Lines begins
// with; 0 where there is none.
func lineTime(line []byte) (ns int64) {
	for _, c := range bytes.TrimPrefix(line, []byte(`{"time":`)) {
		if c < '0' || c > '9' {
			break
		}
		ns = ns*10 + int64(c-'0')
	}
	return ns
}
