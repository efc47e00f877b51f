//go:build linux

package vital

import "time"

// What a service of UDP has read and answers no more moves no counter, but those of all datagrams: as many come, and
// fewer go.
var (
	datagramsIn  = []string{"Udp InDatagrams", "Udp6InDatagrams"}
	datagramsOut = []string{"Udp OutDatagrams", "Udp6OutDatagrams"}
)

const (
	// hushRecent is what is compared with the time before it, back to hushBefore.
	hushRecent, hushBefore = 2 * time.Second, 12 * time.Second
	hushTicks              = 48 // of hushBefore
	// hushLeast is how many answers must be missing for the packets to be looked at: what waits for fewer fires nothing.
	hushLeast = 6
)

// hush says when fewer datagrams go than those that come would have had before. That is no more than a reason to look at
// the packets: a tunnel counts what comes only, and a program that sends hides what another does not.
type hush struct {
	ticks [hushTicks]datagrams
	next  int
}

// datagrams are a tick's counters.
type datagrams struct {
	at      time.Time
	in, out uint64
}

// add takes a tick, and says whether answers are missing.
func (h *hush) add(d datagrams) bool {
	h.ticks[h.next] = d
	h.next = (h.next + 1) % hushTicks
	recent, before := h.since(d.at.Add(-hushRecent)), h.since(d.at.Add(-hushBefore))
	if d.in < before.in || d.out < before.out { // another namespace's counters
		*h = hush{}
		return false
	}
	came, went := float64(recent.in-before.in), float64(recent.out-before.out)
	if came == 0 {
		return false
	}
	// Who only sends hears nothing, and no more than one answer is due for each that comes.
	due := min(went/came, 1) * float64(d.in-recent.in)
	return due-float64(d.out-recent.out) >= hushLeast
}

// since is the oldest tick that is not older than a time.
func (h *hush) since(at time.Time) (d datagrams) {
	for i := range hushTicks {
		if d = h.ticks[(h.next+i)%hushTicks]; !d.at.Before(at) {
			break
		}
	}
	return d
}
