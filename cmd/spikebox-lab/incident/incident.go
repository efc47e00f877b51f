//go:build linux

// Package incident holds the incidents that the lab makes, one a file: the literal that
// tells its story, then the function that makes it.
//
// A new one is a file of its own and a line in All. Its function reads as a script on the
// lab's stage:
//
//	func runRefused(s *lab.Stage) {
//		payments := s.Serve(s.Edge(), 8443, actor.Server{Comm: "payments"})  // the scene
//		s.Open(443, actor.Server{Comm: "nginx"})                             // armed, and healthy
//		s.Load(s.Clients(), s.Edge(), 8443, actor.Client{Group: "payers", …})
//
//		s.Begin("payments crashes") // after --baseline
//		s.Crash(payments)           // until the trigger of the literal fires
//	}
//
// What the traffic cannot do with a flag of an actor, a method of a host, or of the stage,
// is a new method there, for the next incident to use.
package incident

import "github.com/spikebox/spikebox/cmd/spikebox-lab/lab"

// All lists every incident, the healthy ones included.
var All = []*lab.Incident{
	// Nothing is wrong.
	healthy,
	healthyBusy,
	healthyFullSpeed,
	healthyScan,
	healthyDeploy,
	healthyChecks,
	healthyInterrupted,
	healthyDeferred,
	healthyMobile,
	healthyBuild,
	healthyCron,
	healthyBackup,
	healthyMorning,
	healthyTcpdump,
	healthyRouter,
	healthyContainerDeploy,
	// Connections that do not come about, by where they are lost.
	listenOverflow,
	ackDroppedLocally,
	synackLost,
	synackDroppedLocally,
	synDropped,
	replyWithoutRoute,
	neighbourFailed,
	upstreamBlackhole,
	synFlood,
	refused,
	resetStorm,
	middleboxReset,
	// What this host only forwards.
	forwardedBlackhole,
	forwardedNextHop,
	forwardedRefused,
	forwardedStalled,
	forwardedLoss,
	containerUpstreamDead,
	// Time and packets lost on the way.
	rttSpikeAll,
	rttSpikeOnePeer,
	lossBurst,
	pathLoss,
	pmtuBlackhole,
	peersVanish,
	qdiscDrop,
	// Programs that stand still, forget, or ask for too much.
	appFrozen,
	udpFrozen,
	slowApplication,
	cpuStarved,
	memoryPressure,
	slowUpstream,
	upstreamBreaksOff,
	resolverSilent,
	zeroWindow,
	closeWaitLeak,
	finWait2Pileup,
	portExhaustion,
	// The kernel itself: its tables, its queues, its softirqs.
	conntrackFull,
	conntrackHog,
	udpRcvbuf,
	softnetDrop,
	softirqStall,
	tcpCollapse,
	echoDelayed,
}
