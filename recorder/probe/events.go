//go:build linux

package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/spikebox/spikebox/bpf"
	"github.com/spikebox/spikebox/format/member"
)

// Kind is what happened, as in bpf/event.h.
type Kind uint8

// The kinds of events.
const (
	Retransmit Kind = iota + 1
	SYNRetransmit
	SYNACKRetransmit
	ResetSent
	ResetReceived
	Drop
	LateRTT
	LongSoftirq
	Stack
	Dismissed
	Kinds // their number, and one
)

// kindNames are in the order of the kinds; a stack is a sample of stacks.pb.gz.
var kindNames = [Kinds]string{
	"unknown", member.Retransmit, member.SYNRetransmit, member.SYNACKRetransmit, member.ResetSent,
	member.ResetReceived, member.PacketDrop, member.LateRTT, member.LongSoftirq, "stack", member.Dismissed,
}

// String returns the name as in events.jsonl; unknown for anything else.
func (k Kind) String() string { return kindNames[min(k, Kinds)%Kinds] }

// Event is one thing that the kernel told. Fields that its kind does not have are 0.
type Event struct {
	Kind  Kind
	Time  int64 // CLOCK_MONOTONIC, ns
	CPU   uint16
	NetNS uint32 // inode; 0: unknown, or the machine's
	// Local and Remote are invalid where the kernel did not know them; ports are 0
	// for other protocols than TCP and UDP.
	Local, Remote netip.AddrPort
	Proto         uint8 // IP protocol
	State         uint8 // of the socket, see StateName; 0: no socket
	// Reason is of drops and of resets sent, see ReasonNames; of retransmissions the
	// errno where the segment could not be sent; of softirqs and stacks the vector.
	Reason uint32
	Seq    uint32 // retransmissions: first sequence number sent again
	SeqLen uint32 // and how many; a SYN or FIN counts for one
	// Retries is the number of timeouts in a row before a retransmission, 0 for a
	// fast one; of a SYN-ACK, how often it was sent again before.
	Retries  uint8
	Asked    bool          // of a SYN-ACK: its client has repeated the SYN
	Answer   uint64        // of segments, and late RTT: bytes that were acknowledged for each segment with data that came, whole KiB of a late RTT's
	SYNQueue uint64        // SYN-ACK retransmissions: half-open connections of the listener
	Place    uint64        // drops: address of the code that did it
	Duration time.Duration // late RTT, long softirq; stacks: for how long the softirq has run
	// Untimed: nobody times the softirq; Duration is from when a tick met it first, to now or until
	// one met it last.
	Untimed bool
	Frames  []uint64 // stacks: return addresses, innermost first; valid during the call
}

// EventCount accounts for one kind of event since arming.
type EventCount struct {
	Seen    uint64 // all of them
	Limited uint64 // not told, because there were too many of this kind at a time
	Full    uint64 // not told, because Read came too late
}

// Events hands on what the programs of all topics tell one by one.
type Events struct {
	maps    map[string]*ebpf.Map // for the topics to share
	ring    *ringbuf.Reader
	account *shared[bpf.StacksAccount]
	// Used again for each event, so that reading allocates nothing.
	record ringbuf.Record
	event  Event
}

// openEvents makes the ring buffer and its account, before any topic is loaded.
func openEvents() (*Events, error) {
	spec, err := bpf.LoadStacks() // every topic with events declares both maps alike
	if err != nil {
		return nil, fmt.Errorf("read embedded probe stacks: %w", err)
	}
	if err := perCPU(spec, bpf.StacksMapEventAccount); err != nil {
		return nil, err
	}
	if err := unlockMemory(); err != nil {
		return nil, refuse("events", err)
	}
	e := &Events{maps: map[string]*ebpf.Map{}}
	for _, name := range []string{bpf.StacksMapEvents, bpf.StacksMapEventAccount} {
		m, err := ebpf.NewMap(spec.Maps[name])
		if err != nil {
			return nil, errors.Join(refuse("events", err), e.Close())
		}
		e.maps[name] = m
	}
	if e.account, err = share[bpf.StacksAccount](e.maps[bpf.StacksMapEventAccount]); err != nil {
		return nil, errors.Join(refuse("events", err), e.Close())
	}
	if e.ring, err = ringbuf.NewReader(e.maps[bpf.StacksMapEvents]); err != nil {
		return nil, errors.Join(refuse("events", err), e.Close())
	}
	e.ring.SetDeadline(time.Unix(1, 0)) // Read never waits
	return e, nil
}

// Read calls f for each event told since the last Read, oldest first per CPU; the
// event is overwritten afterwards. It returns their number, and does not wait.
func (e *Events) Read(f func(*Event)) (n int, err error) {
	for {
		err := e.ring.ReadInto(&e.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read events: %w", err)
		}
		if err := e.decode(e.record.RawSample); err != nil {
			return n, err
		}
		f(&e.event)
		n++
	}
}

// decode reads a struct event of bpf/event.h, or the struct stack around it.
func (e *Events) decode(raw []byte) error {
	if len(raw) < int(unsafe.Sizeof(bpf.StacksEvent{})) {
		return fmt.Errorf("decode event of %d bytes: too short", len(raw))
	}
	r := (*bpf.StacksEvent)(unsafe.Pointer(&raw[0]))
	e.event = Event{
		Kind: Kind(r.Kind), Time: int64(r.Ktime), CPU: r.Cpu, NetNS: r.Netns,
		Proto: r.Proto, State: r.State, Reason: r.Reason,
		Seq: r.Seq, SeqLen: r.SeqLen, Retries: r.Count,
	}
	if r.Family != 0 {
		e.event.Local = netip.AddrPortFrom(address(r.Family, &r.Local), r.LocalPort)
		e.event.Remote = netip.AddrPortFrom(address(r.Family, &r.Remote), r.RemotePort)
	}
	// One field of the record, value, is of another unit for each kind: bpf/event.h says which.
	switch e.event.Kind {
	case Retransmit:
		e.event.Answer = r.Value
	case SYNACKRetransmit:
		e.event.SYNQueue = r.Value
		e.event.Asked, e.event.Reason = r.Reason != 0, 0
	case Drop:
		e.event.Place = r.Value
	case LateRTT:
		e.event.Duration = time.Duration(r.Value) * time.Microsecond
		e.event.Answer, e.event.SeqLen = uint64(r.SeqLen)<<10, 0
	case LongSoftirq:
		e.event.Duration = time.Duration(r.Value)
	case Stack:
		return e.decodeStack(raw, r.Value)
	}
	return nil
}

// decodeStack reads what is behind the event in a struct stack.
func (e *Events) decodeStack(raw []byte, age uint64) error {
	if len(raw) < int(unsafe.Sizeof(bpf.StacksStack{})) {
		return fmt.Errorf("decode stack of %d bytes: too short", len(raw))
	}
	st := (*bpf.StacksStack)(unsafe.Pointer(&raw[0]))
	e.event.Duration, e.event.Untimed, e.event.Retries = time.Duration(age), e.event.Retries > 0, 0
	e.event.Frames = st.Frame[:min(st.Frames, uint64(len(st.Frame)))]
	return nil
}

// Tally counts, since arming, what the kernel's counters do not tell apart.
type Tally struct {
	Timeouts  uint64 // of retransmissions, SYNs among them and SYN-ACKs not
	Unasked   uint64 // SYN-ACKs sent again for nobody who had repeated the SYN
	Farewells uint64 // resets of clients that had acknowledged all that was sent to them
}

// Tally gives the counts of all CPUs.
func (e *Events) Tally() (sum Tally) {
	for i := range e.account.slots {
		a := &e.account.slots[i]
		sum.Timeouts += atomic.LoadUint64(&a.Timeouts)
		sum.Unasked += atomic.LoadUint64(&a.Unasked)
		sum.Farewells += atomic.LoadUint64(&a.Farewells)
	}
	return sum
}

// Counts accounts for all events since arming, told or not.
func (e *Events) Counts(into *[Kinds]EventCount) {
	*into = [Kinds]EventCount{}
	for i := range e.account.slots {
		a := &e.account.slots[i]
		for k := range into {
			into[k].Seen += atomic.LoadUint64(&a.Seen[k])
			into[k].Limited += atomic.LoadUint64(&a.Limited[k])
			into[k].Full += atomic.LoadUint64(&a.Full[k])
		}
	}
}

// Close frees the ring buffer; the topics' programs must have gone before.
func (e *Events) Close() error {
	var errs []error
	if e.ring != nil {
		errs = append(errs, e.ring.Close())
	}
	if e.account != nil {
		errs = append(errs, e.account.Close())
	}
	for _, m := range e.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
