//go:build linux

// Package budget keeps the recorder below a share of the machine's CPU time. Meter measures
// what it costs, Ladder decides what is shed and when it comes back, and Budget does it and
// remembers for whom something is missing.
package budget

import "time"

// Tier is evidence that is shed as one.
type Tier struct {
	ID      string
	Without string   // what is lost with it, and what still tells
	Probes  []string // by their IDs, see probe.All
	Meters  []string // by their IDs, see vital.Meters
	Shared  []string // sources of the manifest that have some of it
	// Shortens names a source that reaches back less far without it, where its ring alone is too small.
	// Its own account says whether it does.
	Shortens string
	// Within is the tier that it builds on: without that it has nothing to tell.
	Within string
	// Fixed says that it costs the same whatever the machine has to do.
	Fixed bool
	// PerPacket is about what its programs take for each packet that the machine receives,
	// for where the kernel does not time them; 0: it has nothing to do with packets alone.
	PerPacket time.Duration
}

// Tiers is what can be shed, in the order in which it is: first what other evidence tells as
// well, last what most is read from. What is not in it is never shed, because it is what bundles
// are read for, and there is little to win: packets as they come; listeners and half-open connections; events of
// retransmissions and resets, which run only where there is trouble; counters and texts of
// /proc, each second's 0.03 % of two CPUs.
//
// A program that several work in is charged to those that are armed in equal parts.
//
// PerPacket is runs a packet times ns a run, with the timing itself, of TCP exchanges over
// veth on Linux 6.18 (BenchmarkCost of package probe).
var Tiers = []*Tier{
	{
		ID:      "echo", // how fast this host answers ping
		Without: "echo.delay; the packets still show requests and their replies",
		Probes:  []string{"echo"}, Meters: []string{"echo"},
	},
	{
		ID:      "stacks", // stacks inside long softirqs, each CPU looked at 1,000 times a second for a minute after one, and times of single functions
		Without: "the name of the function that a stall is spent in; its length is still known",
		Probes:  []string{"stacks", "function"}, Shared: []string{"events"}, Within: "softirq", Fixed: true,
	},
	{
		ID:      "softirq", // long softirqs, and at times how long each runs
		Without: "softirq.max and histograms of stalls; /proc/softirqs and softnet_stat still count",
		Probes:  []string{"softirq"}, Meters: []string{"softirq"}, Shared: []string{"events"},
		PerPacket: 150 * time.Nanosecond, // begin and end, while all are timed; fewer where NAPI takes several packets in one
	},
	{
		ID:      "drop", // why and where the kernel drops packets
		Without: "reasons of drops, and filtered.clients; counters of /proc and drivers still count most of them",
		Probes:  []string{"drop"}, Meters: []string{"filtered"}, Shared: []string{"events"},
	},
	{
		ID:       "pack", // packets that the rings would forget although they are younger than --before
		Without:  "packets that the rings alone do not hold; status tells how far back they reach",
		Shortens: "packets",
	},
	{
		ID:      "response", // what users wait for
		Without: "serve.p99 and its like; the packets still show when requests came and answers went",
		Probes:  []string{"response"}, Meters: []string{"response"}, Within: "state", // whose program tells it the sides of a connection
		PerPacket: 100 * time.Nanosecond, // half of a run a segment
	},
	{
		ID:      "rtt", // every round trip of every connection
		Without: "rtt.p99 and its like; the packets still show round trips, and retransmissions are events",
		Probes:  []string{"rtt"}, Meters: []string{"rtt"}, Shared: []string{"events"}, Within: "state", // which tells the first of each connection
		PerPacket: 100 * time.Nanosecond, // the other half
	},
	{
		ID:      "state", // sockets in each state at every tick
		Without: "tcp.established and its like; sockets.jsonl still lists the sockets of a bundle",
		Probes:  []string{"state"}, Meters: []string{"states"},
	},
}

// Sources are those of the manifest that lack something while the tier is shed.
func (t *Tier) Sources() []string {
	names := []string{}
	for _, p := range t.Probes {
		names = append(names, "probe."+p)
	}
	for _, m := range t.Meters {
		names = append(names, "vitals."+m)
	}
	return append(names, t.Shared...)
}
