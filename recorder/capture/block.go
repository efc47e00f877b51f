//go:build linux

package capture

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// block is one block of a ring as the kernel shares it: struct tpacket_block_desc, then
// packets (include/uapi/linux/if_packet.h).
type block []byte

// blockHeader is where struct tpacket_hdr_v1 begins: behind version and offset_to_priv.
const blockHeader = int(unsafe.Offsetof(unix.TpacketBlockDesc{}.Hdr))

// header is the part of the description that version 3 uses.
func (b block) header() *unix.TpacketHdrV1 {
	return (*unix.TpacketHdrV1)(unsafe.Pointer(&b[blockHeader]))
}

// retired says whether the kernel has finished the block and left it to this process.
// The atomic load orders the reads of its content behind the kernel's writes.
func (b block) retired() bool {
	return atomic.LoadUint32(&b.header().Block_status)&unix.TP_STATUS_USER != 0
}

// packets is how many packets the block holds; it grows while the block is open.
func (b block) packets() int { return int(atomic.LoadUint32(&b.header().Num_pkts)) }

// first is the offset of the first packet.
func (b block) first() int { return int(b.header().Offset_to_first_pkt) }

// last is the time of the last packet of a retired block, Unix ns.
func (b block) last() int64 { return unixNs(b.header().Ts_last_pkt) }

// release gives the block back to the kernel. The count is cleared before, so that a
// look at the block in the moment before the kernel opens it again finds no packets.
func (b block) release() {
	h := b.header()
	atomic.StoreUint32(&h.Num_pkts, 0)
	atomic.StoreUint32(&h.Block_status, unix.TP_STATUS_KERNEL)
}

// unixNs is a block's time in Unix ns. Usec is a union, and holds ns in version 3.
func unixNs(t unix.TpacketBDTS) int64 { return int64(t.Sec)*1e9 + int64(t.Usec) }

// packet is one packet of a block: struct tpacket3_hdr, struct sockaddr_ll, data.
type packet []byte

// linkAddress is where struct sockaddr_ll begins: TPACKET_ALIGN(sizeof(struct tpacket3_hdr)).
const linkAddress = 48

// packetType is the offset of sll_pkttype in the packet.
const packetType = linkAddress + int(unsafe.Offsetof(unix.RawSockaddrLinklayer{}.Pkttype))

// packet returns the packet at offset off.
func (b block) packet(off int) packet { return packet(b[off:]) }

// header is where the kernel describes the packet. It is aligned to 8 bytes.
func (p packet) header() *unix.Tpacket3Hdr { return (*unix.Tpacket3Hdr)(unsafe.Pointer(&p[0])) }

// next is the distance to the next packet of the block; 0 in the last of a retired block.
func (p packet) next() int { return int(p.header().Next_offset) }

// time is when the packet was seen, Unix ns.
func (p packet) time() int64 {
	h := p.header()
	return int64(h.Sec)*1e9 + int64(h.Nsec)
}

// kind is PACKET_HOST, PACKET_OUTGOING, …
func (p packet) kind() byte { return p[packetType] }

// wire is the packet's length on the wire, without a stripped VLAN tag.
func (p packet) wire() int { return int(p.header().Len) }

// data is what was kept.
func (p packet) data() []byte {
	h := p.header()
	return p[h.Mac : uint32(h.Mac)+h.Snaplen]
}

// vlan is the tag that the kernel or the device stripped: TPID and TCI as on the wire.
func (p packet) vlan() (tag [vlanTag]byte, ok bool) {
	h := p.header()
	if h.Status&unix.TP_STATUS_VLAN_VALID == 0 {
		return tag, false
	}
	tpid := uint16(etherVLAN)
	if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = h.Hv1.Vlan_tpid
	}
	binary.BigEndian.PutUint16(tag[:2], tpid)
	binary.BigEndian.PutUint16(tag[2:], uint16(h.Hv1.Vlan_tci))
	return tag, true
}

// arrived says whether the kernel has finished writing the packet. It takes a place in
// an open block under a lock and clears the status, copies without the lock, and sets
// the status then.
func (p packet) arrived() bool {
	h := p.header()
	return atomic.LoadUint32(&h.Status)&unix.TP_STATUS_USER != 0 &&
		int(h.Mac) >= linkAddress && uint64(h.Mac)+uint64(h.Snaplen) <= uint64(len(p))
}
