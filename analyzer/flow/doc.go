// Package flow follows TCP connections through a stream of packets and says what happened to each:
// its handshake and the schedule of its repetitions, retransmissions by mechanism and evidence,
// reordering, round-trip times, windows, resets and the server's think time.
//
// Definitions follow the RFCs and the Linux kernel: Direction.Retransmits counts what the kernel
// counts as RetransSegs. Where the headers do not decide, a packet is counted as ambiguous.
//
// # Retransmission or reordering
//
// A segment that begins below the highest sequence number seen is judged by the strongest evidence
// that the headers hold, in this order:
//
//  1. The same packet again, told by its IP identification, is a copy that the capture holds twice
//     when it came within a millisecond. Later it was duplicated in the network: ambiguous.
//  2. Bytes that were captured before were sent again, unless TSval or IP identification say that
//     this copy was sent before the one that was captured first.
//  3. Bytes that were not captured before lie in a hole. TSval or IP identification tell whether
//     they were sent before the segment above the hole, and are a reordered original, or after it,
//     and are the retransmission of an original that was never captured.
//  4. Without either, the receiver's reports and time against the current round trip decide: much
//     less than a round trip is reordering, a reported gap and more than one a retransmission.
//     Between them, after a step of the clock, and where the capture itself lost packets: ambiguous.
//
// Identifications order packets for two round trips: counters go around. What was left ambiguous is a
// retransmission once the receiver reports its bytes as received twice (DSACK, RFC 2883).
//
// A retransmission counts as spurious, in addition to its mechanism, when a DSACK reports it, when
// the acknowledgement echoes the timestamp of the original (RFC 3522), or when the bytes had been
// acknowledged or selectively acknowledged before the tap saw it.
//
// # Mechanism
//
// An acknowledgement makes a sender send again at once, a timer after a silence. The way from the tap to
// the sender and back is part of either; where the peer only receives, the echoes of its timestamps
// show how long it is by now. Without duplicate ACKs and SACK only a timer can be the reason.
//
// The first repetition of a single outstanding segment is called a tail-loss probe where both sides
// permit SACK: Linux schedules the probe for the moment at which the timeout would fire, so the two
// cannot be told apart, and there it is the probe.
//
// # Round trips
//
// With timestamps a sample runs from the oldest segment whose TSval is echoed, so a delayed
// acknowledgement is part of it; without, from the segment that ends where the acknowledgement does.
// No sample is taken from an acknowledgement that covers a retransmission or a hole, nor from one that
// came with data, a FIN or a keep-alive half a second and more beyond the path's own round trip.
//
// # What cannot be known
//
//   - A retransmission whose original was not captured, and that is the newest data when it comes,
//     looks like an original in every respect.
//   - So does one that was itself overtaken by data sent after it: it is called reordered.
//   - Where a sender neither stamps nor numbers its packets, a duplicate that the network made looks
//     like a retransmission, and a clock that is stepped forward makes round trips look long.
//   - Without timestamps nothing shows at the receiver how a queue on the way to it fills: a fast
//     retransmission that is 150 ms later than the last one was may be called a timeout.
//   - Without the handshake the scale of windows is not known: zero windows are found, full and
//     shrunk ones are not; and a frame counts as segments of 1460 bytes, or 1440 for IPv6.
//   - Quantiles are right within 3 %; minimum and maximum are exact.
package flow
