//go:build linux

// Package capture is the packet recorder: it leaves a memory that the kernel fills standing
// as the flight recorder, so that an armed recorder neither copies nor parses a packet.
//
// There are two ways to have it filled (Way), and one interface above both (ring):
//
//	tap       tcx: two eBPF programs on each interface, Linux 6.6 and later
//	Packets   tpacket: a packet socket with a TPACKET_V3 ring
//	Set       the rings of all chosen interfaces: one budget, one goroutine, netlink
//	Cut       what all rings held at one instant
//
// Both keep the same bytes of a packet, because both run the same filter (filter.go): a tap
// runs its translation to eBPF (translate.go). They differ in where they look. A packet socket
// sees what arrives before tcx does and what leaves behind the queue disciplines, as the wire
// has it; a tap sees what leaves before these: what they drop later is in it, the time is before
// the queue, and a segment is not cut yet where the device cannot (the length is that of the
// whole). What never passes tcx it does not see: AF_XDP, and packet sockets with PACKET_QDISC_BYPASS.
// A program that another put before ours may end a packet's way; ours goes to the head, and returns
// TCX_NEXT. Receive times are those of the softirq that takes the packet on, not of the driver.
//
// The programs stamp CLOCK_MONOTONIC, which no step of the wall clock touches; a packet socket
// stamps CLOCK_REALTIME, and host.Stamps finds out which.
//
// # Packet sockets
//
// The kernel fills blocks (net/packet/af_packet.c, tpacket_rcv). A block that it has
// finished stays with this process as history; only the oldest ones are handed back,
// just in time. A Cut holds the history of all rings at one instant and writes it as
// pcapng, while the kernel goes on filling the blocks that are free.
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
//
// # Taps
//
// The programs fill blocks, too (bpf/tap.bpf.c), each CPU one of its own, the next of all when
// that is full: no lock, and memory goes where packets are. The oldest block is overwritten
// without asking anybody, so that nothing need be done in time, and a recorder that is stopped
// loses history and never the newest. A Cut sets the block that may not be taken (limit); a
// quarter of the ring is before it, and what finds no room until the cut is written is counted.
//
// A packet is whole for a reader when the block's end has been moved behind it. Two programs
// cannot interleave on one CPU, since both run with softirqs off; on PREEMPT_RT, where they may,
// the second finds the CPU busy, and its packet is counted as lost. A virtual CPU may stand still
// inside the program while others fill all of the ring: then the block is another's, it is
// marked as torn, left out, and its packets count as lost.
//
// The memory is charged to the memory cgroup, as that of all maps (Linux 5.11 and later); that of
// packet sockets is not.
//
// A cut is whole from the newest time that is in no block of it on, of all CPUs; a CPU leaves
// its block after an eighth of a round, so that one that hardly sees a packet does not keep
// that time young.
package capture
