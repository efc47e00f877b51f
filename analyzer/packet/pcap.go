package packet

import (
	"encoding/binary"
	"fmt"
)

// Magic numbers of pcap files as a little-endian reader sees them (draft-ietf-opsawg-pcap §4).
const (
	pcapMicro        = 0xa1b2c3d4
	pcapNano         = 0xa1b23c4d
	pcapMicroSwapped = 0xd4c3b2a1
	pcapNanoSwapped  = 0x4d3cb2a1
)

const (
	pcapHeaderLen = 24
	pcapRecordLen = 16
	// The largest record that is believed: libpcap's MAXIMUM_SNAPLEN. A file may announce a larger
	// snapshot length, which is believed up to maxRecord.
	maxSnaplen = 256 << 10
	maxRecord  = 16 << 20
)

// record is one captured packet as its file describes it.
type record struct {
	time    int64 // Unix ns
	iface   *iface
	dir     Dir
	wireLen uint32
	data    []byte // valid until the next record is read
}

// iface is what a reader knows of the interface of a record.
type iface struct {
	index    uint16 // in Source.Interfaces
	link     uint32
	snaplen  uint32
	timeUnit timeUnit
	last     int64 // Unix ns of its latest record
}

// container reads records one after the other. At the end next returns io.EOF; any other error is
// damage.
type container interface {
	next(r *record) error
}

// pcapReader reads a classic pcap file.
type pcapReader struct {
	s      *stream
	order  binary.ByteOrder
	nano   bool
	limit  uint32
	device *iface
}

// newPcap reads the file header that stream s begins with.
func newPcap(s *stream, reg *registry) (*pcapReader, error) {
	head, err := s.take(pcapHeaderLen)
	if err != nil {
		return nil, fmt.Errorf("read pcap file header: %w", err)
	}
	r := &pcapReader{s: s, order: binary.LittleEndian}
	switch binary.LittleEndian.Uint32(head) {
	case pcapNano:
		r.nano = true
	case pcapMicroSwapped:
		r.order = binary.BigEndian
	case pcapNanoSwapped:
		r.order, r.nano = binary.BigEndian, true
	}
	if major := r.order.Uint16(head[4:]); major != 2 {
		return nil, fmt.Errorf("read pcap file header: version %d is not known", major)
	}
	snaplen := r.order.Uint32(head[16:])
	r.limit = min(max(snaplen, maxSnaplen), maxRecord)
	// The upper half of the field describes frame check sequences.
	r.device = &iface{link: r.order.Uint32(head[20:]) & 0xffff, snaplen: snaplen}
	r.device.index = reg.add(Interface{LinkType: r.device.link, Snaplen: snaplen})
	return r, nil
}

// next reads one record.
func (r *pcapReader) next(rec *record) error {
	head, err := r.s.peek(pcapRecordLen)
	if err != nil {
		return err
	}
	seconds, fraction := r.order.Uint32(head), r.order.Uint32(head[4:])
	length, wire := r.order.Uint32(head[8:]), r.order.Uint32(head[12:])
	if length > r.limit {
		return fmt.Errorf("a record claims %d captured bytes, the limit is %d", length, r.limit)
	}
	data, err := r.s.take(pcapRecordLen + int(length))
	if err != nil {
		return err
	}
	rec.data = data[pcapRecordLen:]
	rec.time = int64(seconds)*1e9 + int64(fraction)
	if !r.nano {
		rec.time = int64(seconds)*1e9 + int64(fraction)*1e3
	}
	// No packet is shorter than what was captured of it, whatever its writer says.
	rec.wireLen = max(wire, length)
	rec.iface, rec.dir = r.device, DirUnknown
	return nil
}
