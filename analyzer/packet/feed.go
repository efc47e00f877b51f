package packet

import (
	"io"
	"sync"
)

const (
	// 1024 packets: 192 KiB. Whoever waits for the other is woken once for a batch, which costs some
	// microseconds of the busier one: with 256 packets that was a tenth of all time.
	batchSize = 1024
	// Four batches in flight keep decoder and consumer busy on a core each, and stay in an L2 cache.
	batchesAhead = 4
)

// A feed and its consumer pass a fixed number of batches to and fro: the decoder works ahead on its
// own core, memory stays the same however large the input, and nothing is allocated per packet. What
// was counted travels with the batch, so that the statistics are those of what has been delivered and
// need no lock.

// batch is a run of packets on its way from decoder to consumer.
type batch struct {
	packets []Packet
	count   count
	damage  *DamageError // the input ended here, damaged
}

// count sums up a batch.
type count struct {
	bytes, captured     uint64
	truncated, backward uint64
	back, behind        Back
	kinds               [kinds]uint32
	opaque              [opaques]uint32
	others              []other
}

// other is one packet that was counted by number because its header is not known.
type other struct {
	kind   Kind
	number uint32
}

// feed reads one input in a goroutine and hands batches over.
type feed struct {
	index   uint16
	name    string
	clock   Clock
	stream  *stream
	source  container
	closer  func()
	decoder decoder

	full, free chan *batch
	done       chan struct{} // closed when the goroutine has ended

	current *batch // consumer's
	at      int
	ended   bool
}

// newFeed returns a feed that has not been started.
func newFeed(index int, in Input, st *stream, c container, closer func()) *feed {
	f := &feed{
		index: uint16(index), name: in.Name, clock: in.Clock, stream: st, source: c, closer: closer,
		full: make(chan *batch, batchesAhead), free: make(chan *batch, batchesAhead),
		done: make(chan struct{}),
	}
	for range batchesAhead {
		f.free <- &batch{packets: make([]Packet, 0, batchSize)}
	}
	return f
}

// run decodes until the input ends or stop is closed.
func (f *feed) run(stop <-chan struct{}) {
	defer close(f.done)
	defer close(f.full)
	reader := reading{feed: f}
	for more := true; more; {
		var b *batch
		select {
		case b = <-f.free:
		case <-stop:
			return
		}
		more = reader.fill(b)
		select {
		case f.full <- b:
		case <-stop:
			return
		}
	}
}

// reading is the state of a feed's goroutine.
type reading struct {
	feed  *feed
	frame uint64
	last  int64 // time of the packet before
}

// fill decodes packets into b and reports whether there are more.
func (r *reading) fill(b *batch) bool {
	f := r.feed
	b.packets, b.damage = b.packets[:0], nil
	// The packets are overwritten in place: the consumer has given the batch back.
	b.count = count{others: b.count.others[:0]}
	var rec record
	for len(b.packets) < batchSize {
		begin := f.stream.offset()
		switch err := f.source.next(&rec); {
		case err == io.EOF:
			return false
		case err != nil:
			b.damage = &DamageError{Input: f.name, Offset: begin, Err: err}
			return false
		}
		b.packets = b.packets[:len(b.packets)+1]
		r.decode(&b.packets[len(b.packets)-1], &rec, &b.count)
	}
	return true
}

// decode turns a record into a packet and counts it.
func (r *reading) decode(p *Packet, rec *record, c *count) {
	r.frame++
	*p = Packet{
		Time: r.feed.clock.At(rec.time), Frame: r.frame + r.feed.skipped(), Input: r.feed.index,
		Interface: rec.iface.index, Dir: rec.dir,
		CapLen: uint32(len(rec.data)), WireLen: rec.wireLen,
	}
	r.feed.decoder.decode(p, rec.iface.link, rec.data)
	if rec.time < r.last {
		c.backward++
		c.behind.put(Back{By: r.last - rec.time, Input: p.Input, Frame: p.Frame, Time: p.Time})
	}
	if rec.iface.last != 0 {
		c.back.put(Back{By: rec.iface.last - rec.time, Input: p.Input, Frame: p.Frame, Time: p.Time})
	}
	r.last, rec.iface.last = rec.time, rec.time
	c.bytes += uint64(rec.wireLen)
	c.captured += uint64(len(rec.data))
	if p.CapLen < p.WireLen {
		c.truncated++
	}
	c.kinds[p.Kind]++
	if p.Opaque != Clear {
		// What it is hidden in says more than the number of the header that was read last.
		c.opaque[p.Opaque]++
		return
	}
	switch p.Kind {
	case OtherEther:
		c.others = append(c.others, other{p.Kind, uint32(p.EtherType)})
	case OtherIP:
		c.others = append(c.others, other{p.Kind, uint32(p.Proto)})
	case Unknown:
		c.others = append(c.others, other{p.Kind, rec.iface.link})
	}
}

// skipped returns how many frame numbers went to blocks that hold no packet.
func (f *feed) skipped() uint64 {
	if ng, ok := f.source.(*ngReader); ok {
		return ng.frames
	}
	return 0
}

// peek returns the next packet without consuming it, nil at the end.
func (f *feed) peek(s *Source) *Packet {
	for f.current == nil || f.at == len(f.current.packets) {
		if f.current != nil {
			f.free <- f.current
			f.current = nil
		}
		if f.ended {
			return nil
		}
		b, ok := <-f.full
		if !ok {
			f.ended = true
			return nil
		}
		s.took(b)
		f.current, f.at = b, 0
	}
	return &f.current.packets[f.at]
}

// pop returns the next packets, up to the first that is younger than limit, and consumes them.
func (f *feed) pop(s *Source, limit int64) ([]Packet, error) {
	if f.peek(s) == nil {
		return nil, io.EOF
	}
	rest := f.current.packets[f.at:]
	n := 1
	for n < len(rest) && rest[n].Time <= limit {
		n++
	}
	f.at += n
	return rest[:n], nil
}

// drain waits until the goroutine has ended, after stop was closed.
func (f *feed) drain() {
	f.ended = true
	for range f.full {
	}
	<-f.done
}

// close frees the decompressor.
func (f *feed) close() { f.closer() }

// registry is the list of interfaces of all inputs; readers append to it while others read.
type registry struct {
	input  int
	shared *interfaces
}

// interfaces is the list behind the registries of a source.
type interfaces struct {
	mu   sync.Mutex
	list []Interface
}

// of returns the registry that adds interfaces for the given input.
func (r *registry) of(input int) *registry {
	if r.shared == nil {
		r.shared = &interfaces{}
	}
	return &registry{input: input, shared: r.shared}
}

// add appends an interface and returns its index. Beyond 65535 all share the last index.
func (r *registry) add(i Interface) uint16 {
	i.Input = r.input
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	if len(r.shared.list) <= 1<<16-1 {
		r.shared.list = append(r.shared.list, i)
	}
	return uint16(len(r.shared.list) - 1)
}

// drops records how many packets an interface has lost so far.
func (r *registry) drops(index uint16, n uint64) {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	r.shared.list[index].Drops, r.shared.list[index].HasDrops = n, true
}

// covers records the span that an interface's packets cover, in Unix ns.
func (r *registry) covers(index uint16, from, to int64) {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	r.shared.list[index].From, r.shared.list[index].To = from, to
}

// list returns a copy of the interfaces.
func (r *registry) list() []Interface {
	if r.shared == nil {
		return nil
	}
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	return append([]Interface(nil), r.shared.list...)
}
