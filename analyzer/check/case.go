package check

import (
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/analyzer/rtt"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// Case is what is known when the checks are asked.
type Case struct {
	Evidence *evidence.Evidence
	Lines    *timeline.Set
	Window   timeline.Span
	Moved    []moved.Line // what changed most, without any rule

	answers  []Result  // of the checks that were asked already
	messages []message // of the kernel log, once one was asked for
}

// NewCase prepares the evidence for the checks.
func NewCase(e *evidence.Evidence, lines *timeline.Set) *Case {
	start, end := e.Window()
	return &Case{Evidence: e, Lines: lines, Window: timeline.Span{Start: start, End: end}, Moved: moved.Find(e, lines)}
}

// sum is what a counter counted within the window.
func (c *Case) sum(series string) float64 {
	v, _ := c.Lines.Get(series).Sum(c.Window)
	return v
}

// services gives the services that the packets show, none without packets.
func (c *Case) services() []*handshake.Service {
	if c.Evidence.Packets == nil {
		return nil
	}
	return c.Evidence.Packets.Services
}

// peers gives the round trips that the packets show.
func (c *Case) peers() []*rtt.Peer {
	if c.Evidence.Packets == nil {
		return nil
	}
	return c.Evidence.Packets.RTT
}

// dropped counts the packets that the capture lost.
func (c *Case) dropped() (n uint64) {
	if c.Evidence.Packets != nil {
		n, _ = c.Evidence.Packets.Drops()
	}
	return n
}
