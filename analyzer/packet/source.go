package packet

import (
	"errors"
	"fmt"
	"io"
)

// Input is one capture to read: a name for messages and its bytes.
type Input struct {
	Name   string
	Reader io.Reader
}

// Interface describes one capture interface of an input.
type Interface struct {
	Input    int    // index of the input
	Name     string // if_name, empty when the file has none
	LinkType uint32 // LINKTYPE_ number of the pcap registry
	Snaplen  uint32 // 0 is unlimited
	Drops    uint64 // packets lost by the capture, from the last interface statistics block
	HasDrops bool   // the file carries such a statistic
}

// Stats counts what a source has read so far.
type Stats struct {
	Packets   uint64
	Bytes     uint64          // on the wire
	Captured  uint64          // bytes in the file
	Truncated uint64          // packets of which the file holds less than was on the wire
	Backward  uint64          // packets older than their predecessor in the same input
	Kinds     map[Kind]uint64 // packets by kind
	Ether     map[uint16]uint64
	Protos    map[uint8]uint64
	Links     map[uint32]uint64 // packets on link types that no decoder here knows
}

// DamageError says where and why an input could not be read to its end. What came before it was
// delivered.
type DamageError struct {
	Input  string
	Offset int64 // byte in the decompressed input at which the damaged record begins
	Err    error
}

// Error returns a sentence with the input, the offset and the reason.
func (e *DamageError) Error() string {
	return fmt.Sprintf("read %s at offset %d: %v", e.Input, e.Offset, e.Err)
}

// Unwrap returns the reason.
func (e *DamageError) Unwrap() error { return e.Err }

// Source yields the packets of its inputs in time order. Within one input the order of the file is
// kept, so that frame numbers ascend; Stats.Backward tells how often time went back in it.
type Source struct{}

// Open reads inputs together. It recognises format and compression by the first bytes, and returns
// an error when an input is not a capture at all; damage further on is reported by Damage.
func Open(inputs ...Input) (*Source, error) { return nil, errors.ErrUnsupported }

// OpenFiles opens capture files by path; "-" is standard input.
func OpenFiles(paths ...string) (*Source, error) { return nil, errors.ErrUnsupported }

// Next returns the next packet, valid until the next call, or io.EOF after the last.
func (s *Source) Next() (*Packet, error) { return nil, io.EOF }

// Interfaces returns the interfaces met so far.
func (s *Source) Interfaces() []Interface { return nil }

// Stats returns what has been read. It is complete after Next has returned io.EOF.
func (s *Source) Stats() Stats { return Stats{} }

// Damage returns what could not be read, one error for each damaged input.
func (s *Source) Damage() []*DamageError { return nil }

// Close stops reading and closes the files that OpenFiles opened.
func (s *Source) Close() error { return nil }
