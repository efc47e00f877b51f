package dissect

import (
	"fmt"
	"io"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Slice writes a part of a capture as a pcapng file, interfaces by their names, packets as they were
// captured. The direction of a packet is lost: pcapgo writes no epb_flags.
type Slice struct {
	w     io.Writer
	out   *pcapgo.NgWriter
	index map[uint16]int // of the capture's interfaces in the file
	N     int            // packets written
}

// NewSlice writes to w; nothing before the first packet.
func NewSlice(w io.Writer) *Slice { return &Slice{w: w, index: map[uint16]int{}} }

// Write adds a packet of an interface.
func (s *Slice) Write(rec *packet.Record, iface *packet.Interface) error {
	id, err := s.device(rec.Interface, iface)
	if err != nil {
		return err
	}
	data, wire := rec.Data, int(rec.WireLen)
	if iface.LinkType == linkSLL2 {
		data = cooked(data)
		wire += len(data) - len(rec.Data)
	}
	s.N++
	return s.out.WritePacket(gopacket.CaptureInfo{
		Timestamp: time.Unix(0, rec.Time), CaptureLength: len(data), Length: wire, InterfaceIndex: id,
	}, data)
}

// cooked turns the header of LINKTYPE_LINUX_SLL2 into that of LINKTYPE_LINUX_SLL (pcap-linktype(7)), which
// has 16 bytes and not the interface's index: pcapgo's link types have 8 bits.
func cooked(b []byte) []byte {
	if len(b) < sll2Header {
		return nil
	}
	old := make([]byte, 0, len(b))
	old = append(old, 0, b[10])    // packet type
	old = append(old, b[8:10]...)  // ARPHRD_ type
	old = append(old, 0, b[11])    // length of the address
	old = append(old, b[12:20]...) // address
	old = append(old, b[:2]...)    // EtherType
	return append(old, b[sll2Header:]...)
}

// device describes an interface where its first packet comes.
func (s *Slice) device(index uint16, iface *packet.Interface) (int, error) {
	if id, ok := s.index[index]; ok {
		return id, nil
	}
	link := iface.LinkType
	switch {
	case link == linkSLL2:
		link = uint32(layers.LinkTypeLinuxSLL)
	case link > 0xff:
		return 0, fmt.Errorf("packets of link type %d cannot be written", link)
	}
	d := pcapgo.NgInterface{Name: iface.Name, LinkType: layers.LinkType(link), SnapLength: iface.Snaplen, TimestampResolution: 9}
	id := 0
	var err error
	if s.out == nil {
		section := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "spikebox"}}
		s.out, err = pcapgo.NewNgWriterInterface(s.w, d, section)
	} else {
		id, err = s.out.AddInterface(d)
	}
	if err == nil {
		s.index[index] = id
	}
	return id, err
}

// Flush writes what is buffered.
func (s *Slice) Flush() error {
	if s.out == nil {
		return nil
	}
	return s.out.Flush()
}
