//go:build linux

package freeze

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/host"
)

// packetSource sums up the interfaces of a cut for the manifest: complete only where each
// of them was recorded from the window's start to its end without loss.
func packetSource(cut *capture.Cut, start time.Time, clock host.Moment) format.Source {
	s := format.Source{
		Name: "packets", State: format.Complete, Variant: "tpacket_v3", Members: []string{member.PacketsName},
		Details: map[string]string{},
	}
	var reasons []string
	for _, i := range cut.Stats() {
		s.Lost += i.Lost
		if r := shortfall(i, start); r != "" {
			reasons = append(reasons, r)
		}
		detail(s.Details, i, clock)
	}
	if s.Lost > 0 {
		s.Unit = "packets"
	}
	if len(cut.Stats()) == 0 {
		reasons = append(reasons, "no interface to record")
	}
	if len(reasons) > 0 || s.Lost > 0 {
		s.State, s.Reason = format.Partial, strings.Join(reasons, "; ")
	}
	return s
}

// rounding is how much later than the window's start a ring may begin without being
// called short: the time between its first packet and the one before it is not known.
const rounding = time.Second

// shortfall says what is missing of an interface's window, empty where nothing is.
func shortfall(i capture.Stats, start time.Time) string {
	switch {
	case i.RingBytes == 0:
		return fmt.Sprintf("%s is not recorded: %s", i.Name, i.Reason)
	case i.State == capture.Missing:
		return fmt.Sprintf("%s: %s", i.Name, i.Reason)
	case i.Lost > 0:
		return fmt.Sprintf("%s: %d packets found no room in the ring", i.Name, i.Lost)
	case i.From.Sub(start) > rounding:
		return fmt.Sprintf("%s: the ring reaches back to %s before the window's end only", i.Name,
			i.To.Sub(i.From).Round(100*time.Millisecond))
	}
	return ""
}

func detail(to map[string]string, i capture.Stats, clock host.Moment) {
	set := func(key, value string) { to[i.Name+"."+key] = value }
	set("state", string(i.State))
	if i.RingBytes == 0 {
		return
	}
	set("ring_bytes", strconv.Itoa(i.RingBytes))
	set("packets", strconv.FormatUint(i.Held, 10))
	set("lost", strconv.FormatUint(i.Lost, 10))
	set("nic_drops", strconv.FormatUint(i.NICDrops, 10))
	set("from", clock.Wall(i.From).Format(member.SnapshotTime))
}
