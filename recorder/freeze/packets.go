//go:build linux

package freeze

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/host"
)

// PacketsRefused is the state of packets that cannot be recorded here.
func (r *Rings) PacketsRefused() format.Source {
	return format.Source{Name: "packets", State: format.Unsupported, Reason: Refusal(r.NoPackets)}
}

// Refusal says in one sentence why packets are not recorded, and what they need.
func Refusal(err error) string {
	if hinted := (*capture.OpenError)(nil); errors.As(err, &hinted) && hinted.Hint() != "" {
		return err.Error() + ": " + hinted.Hint()
	}
	return err.Error()
}

// Packets are what the packet rings held at one moment, being put aside: until that is done, the kernel has
// only the rings' reserve.
type Packets struct {
	cut   *capture.Cut
	done  chan struct{} // closed when it is
	spool *spool        // then; nil where that failed, and err says why
	err   error
}

// CutPackets cuts the packet rings, and puts their packets aside beside its caller. Close must be called when
// they are done with. It fails with capture.ErrCutOpen while others are put aside.
func CutPackets(rings Rings, req Request) (*Packets, error) {
	cut, err := rings.Packets.Cut(req.Start, rings.Clocks.Past(req.Clock, req.Start))
	if err != nil {
		return nil, err
	}
	m := &req.Manifest
	opts := capture.PcapngOptions{
		Trigger: req.Clock.Wall(req.Trigger), Comment: comment(m.Trigger), Hardware: m.Host.Arch,
		OS: "Linux " + m.Host.Kernel, Application: m.Recorder.Program + " " + m.Recorder.Version,
	}
	p := &Packets{cut: cut, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer cut.Close()
		p.spool, p.err = spooled(cut, req.Trigger, req.Store.unnamed, opts)
	}()
	return p, nil
}

// spooled waits until the packets are put aside.
func (p *Packets) spooled() (*spool, error) {
	if p == nil {
		return nil, nil
	}
	<-p.done
	return p.spool, p.err
}

// Close lets go of them.
func (p *Packets) Close() {
	if s, _ := p.spooled(); s != nil {
		s.close()
	}
}

// Ended says how long after a time the cut was.
func (p *Packets) Ended(since time.Time) time.Duration { return p.cut.At().Sub(since) }

// packetSource sums up the interfaces of a cut for the manifest: complete only where each
// of them was recorded from the window's start to its end without loss.
func packetSource(cut *capture.Cut, start, end time.Time, clock host.Moment) format.Source {
	s := format.Source{
		Name: "packets", State: format.Complete, Variant: variant(cut.Stats()), Members: []string{member.PacketsName},
		Details: map[string]string{},
	}
	var reasons []string
	short := map[string][]string{} // interfaces by what is missing of them
	for _, i := range cut.Stats() {
		s.Lost += i.Lost
		if r := shortfall(i, start, end); r != "" {
			if short[r] == nil {
				reasons = append(reasons, r)
			}
			short[r] = append(short[r], i.Name)
		}
		detail(s.Details, i, clock)
	}
	for i, r := range reasons {
		reasons[i] = someOf(short[r]) + ": " + r
	}
	if n := cut.Unheld(); n > 0 {
		reasons = append(reasons, fmt.Sprintf("%s went within the window, too soon to be recorded or to be kept", interfaces(n)))
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

// variant names the ways in which packets were captured: one, or both where tcx fits some
// interfaces only.
func variant(stats []capture.Stats) string {
	var all []string
	for _, i := range stats {
		if v := i.Way.Variant(); v != "" && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// rounding is how much later than the window's start a ring may begin without being
// called short: the time between its first packet and the one before it is not known.
const rounding = time.Second

// namedMost is how many interfaces a sentence names: a host may have a thousand without a ring.
const namedMost = 3

// someOf names a few interfaces and counts the others.
func someOf(names []string) string {
	if len(names) <= namedMost {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:namedMost], ", "), len(names)-namedMost)
}

func interfaces(n uint64) string {
	if n == 1 {
		return "1 interface"
	}
	return fmt.Sprintf("%d interfaces", n)
}

// shortfall says what is missing of an interface's window, empty where nothing is. That it
// is down or was removed is no loss: there was nothing more to record. Only one that the
// operator named and that never was there is, since the name may be wrong.
func shortfall(i capture.Stats, start, end time.Time) string {
	short := head(i, start, end)
	if gap := end.Sub(i.To); gap > rounding && i.RingBytes > 0 && !i.Armed.IsZero() {
		if short != "" {
			short += ", and "
		}
		short += fmt.Sprintf("recorded until %s before the window's end only, as there was no room for more beside what was before the trigger", gap.Round(100*time.Millisecond))
	}
	return short
}

// head is what is missing at the begin of an interface's window, or throughout.
func head(i capture.Stats, start, end time.Time) string {
	switch {
	case i.RingBytes == 0:
		return "not recorded: " + i.Reason
	case i.Armed.IsZero():
		return i.Reason
	case i.Lost > 0:
		return fmt.Sprintf("%d packets found no room in the ring", i.Lost)
	case i.Bound.After(start) && i.Missed > 0:
		return "packets passed within the window before it was recorded"
	case i.From.Sub(start) > rounding && !i.From.Equal(i.Armed):
		return fmt.Sprintf("the ring reaches back to %s before the window's end only", end.Sub(i.From).Round(100*time.Millisecond))
	}
	return ""
}

func detail(to map[string]string, i capture.Stats, clock host.Moment) {
	set := func(key, value string) { to[i.Name+"."+key] = value }
	set("state", string(i.State))
	if i.RingBytes == 0 {
		return
	}
	set("capture", i.Way.Variant())
	if i.Why != "" {
		set("capture_why", i.Why)
	}
	set("ring_bytes", strconv.Itoa(i.RingBytes))
	if i.Less != "" {
		set("ring_less", i.Less)
	}
	if i.PackedBytes > 0 || i.Unpacked > 0 {
		set("packed", strconv.FormatUint(i.Packed, 10))
		set("packed_bytes", strconv.Itoa(i.PackedBytes))
		set("unpacked", strconv.FormatUint(i.Unpacked, 10))
	}
	set("packets", strconv.FormatUint(i.Held, 10))
	set("lost", strconv.FormatUint(i.Lost, 10))
	set("nic_drops", strconv.FormatUint(i.NICDrops, 10))
	set("from", clock.Wall(i.From).Format(member.SnapshotTime))
	set("to", clock.Wall(i.To).Format(member.SnapshotTime))
}
