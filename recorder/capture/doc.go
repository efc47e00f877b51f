//go:build linux

// Package capture is the packet recorder: it leaves the kernel's own TPACKET_V3 ring
// standing as the flight recorder, so that an armed recorder neither copies nor
// parses a packet.
//
// The kernel fills blocks (net/packet/af_packet.c, tpacket_rcv). A block that it has
// finished stays with this process as history; only the oldest ones are handed back,
// just in time. A Cut holds the history of all rings at one instant and writes it as
// pcapng, while the kernel goes on filling the blocks that are free.
//
//	Packets   the ring of one interface
//	Set       the rings of all chosen interfaces: one budget, one goroutine, netlink
//	Cut       what all rings held at one instant
//
// Three numbers rule the design, all of them measured:
//
//   - More than a quarter of the blocks must be free at any time (reserve): the kernel
//     looks for room without a lock, first at the block a quarter of the ring ahead of
//     the active one. While another CPU closes a block, only that first look is right,
//     and a packet for which there was room is dropped otherwise.
//   - The rings are looked at when a block is finished, and at least 10 ms lie between two
//     looks (see waker, lookEvery). What a flood may fill in these keeps clear of the quarter.
//   - Blocks are retired after 60 s at the earliest, so that a quiet interface does not
//     spend a block per second. The open block is read in place at the cut.
//
// Costs and limits: a packet takes align8(82 + captured bytes) of the ring. One ring
// serves all CPUs; from four CPUs on, a ring per CPU (PACKET_FANOUT_CPU) would save the
// contention for its lock. The place for that is member in set.go, which would own
// several Packets instead of one; the merge of a Cut takes any number already.
package capture
