package packet

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"

	"github.com/spikebox/spikebox/format"
)

// Input is one capture to read: a name for messages and its bytes.
type Input struct {
	Name   string
	Reader io.Reader
	Clock  Clock // puts its times on the clock of the other inputs
}

// Interface describes one capture interface of an input.
type Interface struct {
	Input    int    // index of the input
	Name     string // if_name, empty when the file has none
	LinkType uint32 // LINKTYPE_ number of the pcap registry
	Snaplen  uint32 // 0 is unlimited
	Drops    uint64 // packets lost by the capture, not by the interface; from the last statistics block
	HasDrops bool   // the file carries such a statistic
	// From and To are the span that the capture says to hold packets of, in Unix ns; 0 where it does not.
	From, To int64
}

// Back is a packet before which time goes back in its input. Several interfaces are each in order only (dumpcap reads them beside
// each other).
type Back struct {
	By    int64 // ns
	Input uint16
	Frame uint64
	Time  int64 // Unix ns
}

// put takes another where that goes back further.
func (b *Back) put(other Back) {
	if other.By > b.By {
		*b = other
	}
}

// Stats counts what a source has read so far.
type Stats struct {
	Packets   uint64
	Bytes     uint64          // on the wire
	Captured  uint64          // bytes in the file
	Truncated uint64          // packets of which the file holds less than was on the wire
	Backward  uint64          // packets older than their predecessor in the same input
	Back      Back            // the one that is older by most than its predecessor on the same interface
	Behind    Back            // the one that is older by most than its predecessor, whichever interface that came by
	Kinds     map[Kind]uint64 // packets by kind
	// Packets with another one inside that was not decoded, by what hides it.
	Opaque map[Opaque]uint64
	Ether  map[uint16]uint64 // of other EtherTypes than those
	Protos map[uint8]uint64  // of other transport protocols than those
	Links  map[uint32]uint64 // packets on link types that no decoder here knows
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
//
// Each input is read and decoded by a goroutine of its own, a few batches ahead.
type Source struct {
	feeds  []*feed
	reg    registry
	stats  Stats
	damage []*DamageError
	files  []io.Closer
	stop   chan struct{}
	run    []Packet // what is left of a batch that Next has begun

	read, size atomic.Int64 // bytes of the files that OpenFiles opened
}

// OpenFiles opens capture files by path; "-" is standard input.
func OpenFiles(paths ...string) (*Source, error) {
	inputs := make([]Input, 0, len(paths))
	var files []io.Closer
	s := newSource()
	for _, path := range paths {
		f := os.Stdin
		if path != "-" {
			var err error
			if f, err = os.Open(path); err != nil {
				closeAll(files)
				return nil, err
			}
			files = append(files, f) // standard input is not ours to close
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			s.size.Add(info.Size())
		}
		inputs = append(inputs, Input{Name: path, Reader: counted{f, &s.read}})
	}
	if err := s.start(inputs); err != nil {
		closeAll(files)
		return nil, err
	}
	s.files = files
	return s, nil
}

// counted counts the bytes read from a file.
type counted struct {
	r io.Reader
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// Progress returns how many bytes of the files that OpenFiles opened have been read, and how many
// they have, compressed as they are; size is 0 when it is not known, as of a pipe. Several
// goroutines may call it.
func (s *Source) Progress() (read, size int64) { return s.read.Load(), s.size.Load() }

// Open reads inputs together. It recognises format and compression by the first bytes, and returns
// an error when an input is not a capture at all; damage further on is reported by Damage.
func Open(inputs ...Input) (*Source, error) {
	s := newSource()
	if err := s.start(inputs); err != nil {
		return nil, err
	}
	return s, nil
}

// newSource returns a source without inputs.
func newSource() *Source {
	s := &Source{stop: make(chan struct{})}
	s.stats.Kinds = map[Kind]uint64{}
	s.stats.Opaque = map[Opaque]uint64{}
	s.stats.Ether = map[uint16]uint64{}
	s.stats.Protos = map[uint8]uint64{}
	s.stats.Links = map[uint32]uint64{}
	return s
}

// start opens the inputs and begins to read ahead.
func (s *Source) start(inputs []Input) error {
	for i, in := range inputs {
		f, err := openFeed(s.reg.of(i), i, in)
		if err != nil {
			s.release()
			return err
		}
		s.feeds = append(s.feeds, f)
	}
	for _, f := range s.feeds {
		go f.run(s.stop)
	}
	return nil
}

// openFeed recognises the format of one input.
func openFeed(reg *registry, index int, in Input) (*feed, error) {
	st, closer, err := newStream(in.Reader)
	if err != nil {
		return nil, fmt.Errorf("open capture %s: %w", in.Name, err)
	}
	c, err := newContainer(st, reg)
	if err != nil {
		closer()
		return nil, fmt.Errorf("open capture %s: %w", in.Name, err)
	}
	return newFeed(index, in, st, c, closer), nil
}

// newContainer returns the reader for the format that the first bytes name.
func newContainer(st *stream, reg *registry) (container, error) {
	first, err := st.peek(4)
	if len(first) == 0 && errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	}
	if len(first) < 4 {
		return nil, fmt.Errorf("read the first bytes: %w", err)
	}
	switch magic := binary.LittleEndian.Uint32(first); magic {
	case blockSection:
		return newPcapng(st, reg), nil
	case pcapMicro, pcapNano, pcapMicroSwapped, pcapNanoSwapped:
		return newPcap(st, reg)
	default:
		first, _ := st.peek(tarHead) // less than that is there, too
		return nil, &FormatError{format.Describe(first)}
	}
}

// ErrFormat says that an input is neither pcap nor pcapng.
var ErrFormat = errors.New("not a pcap or pcapng file")

// FormatError is ErrFormat with what the input is, decompressed: "text".
type FormatError struct{ What string }

func (e *FormatError) Error() string { return fmt.Sprintf("it is %s, %v", e.What, ErrFormat) }

// Unwrap gives ErrFormat.
func (e *FormatError) Unwrap() error { return ErrFormat }

// tarHead is what of an input tells tar archives, whose name stands behind the first file's.
const tarHead = 512

// Next returns the next packet, valid until the next call, or io.EOF after the last.
func (s *Source) Next() (*Packet, error) {
	if len(s.run) == 0 {
		var err error
		if s.run, err = s.Batch(); err != nil {
			return nil, err
		}
	}
	p := &s.run[0]
	s.run = s.run[1:]
	return p, nil
}

// Batch returns the next packets, at least one, valid until the next call, or io.EOF after the last.
// How many come together says nothing about them.
func (s *Source) Batch() ([]Packet, error) {
	if run := s.run; len(run) > 0 {
		s.run = nil
		return run, nil
	}
	if len(s.feeds) == 1 {
		return s.feeds[0].pop(s, math.MaxInt64)
	}
	// A linear search: people analyse a handful of files together, and a heap would not be faster. Of
	// equal times the first input goes first, so that the order is always the same.
	var oldest *feed
	var head *Packet
	before := int64(math.MaxInt64) // the packets of oldest up to here precede those of the others
	for _, f := range s.feeds {
		p := f.peek(s)
		switch {
		case p == nil:
		case head == nil:
			oldest, head = f, p
		case p.Time < head.Time:
			oldest, head, before = f, p, head.Time-1
		default:
			before = min(before, p.Time)
		}
	}
	if oldest == nil {
		return nil, io.EOF
	}
	return oldest.pop(s, before)
}

// took adds a batch, which the consumer has begun, to the statistics.
func (s *Source) took(b *batch) {
	c := &b.count
	s.stats.Packets += uint64(len(b.packets))
	s.stats.Bytes += c.bytes
	s.stats.Captured += c.captured
	s.stats.Truncated += c.truncated
	s.stats.Backward += c.backward
	s.stats.Back.put(c.back)
	s.stats.Behind.put(c.behind)
	for k, n := range c.kinds {
		if n > 0 {
			s.stats.Kinds[Kind(k)] += uint64(n)
		}
	}
	for o, n := range c.opaque {
		if n > 0 {
			s.stats.Opaque[Opaque(o)] += uint64(n)
		}
	}
	for _, o := range c.others {
		switch o.kind {
		case OtherEther:
			s.stats.Ether[uint16(o.number)]++
		case OtherIP:
			s.stats.Protos[uint8(o.number)]++
		case Unknown:
			s.stats.Links[o.number]++
		}
	}
	if b.damage != nil {
		s.damage = append(s.damage, b.damage)
	}
}

// Interfaces returns the interfaces met so far.
func (s *Source) Interfaces() []Interface { return s.reg.list() }

// Stats returns what has been read. It is complete after Next has returned io.EOF.
func (s *Source) Stats() Stats { return s.stats }

// Damage returns what could not be read, one error for each damaged input. It is complete after
// Next has returned io.EOF.
func (s *Source) Damage() []*DamageError { return s.damage }

// Close stops reading and closes the files that OpenFiles opened. It waits for a Read of an input
// that is under way. It is safe to call twice.
func (s *Source) Close() error {
	select {
	case <-s.stop:
		return nil
	default:
	}
	close(s.stop)
	err := closeAll(s.files)
	for _, f := range s.feeds {
		f.drain()
	}
	s.release()
	return err
}

// release frees the decompressors.
func (s *Source) release() {
	for _, f := range s.feeds {
		f.close()
	}
}

// closeAll closes files and returns the first error.
func closeAll(files []io.Closer) (err error) {
	for _, f := range files {
		err = cmp.Or(err, f.Close())
	}
	return err
}
