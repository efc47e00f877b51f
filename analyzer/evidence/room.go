package evidence

import (
	"bytes"
	"fmt"
	"io"
	"unsafe"

	"github.com/spikebox/spikebox/format/member"
)

// A bundle may come from anybody, and a file of some hundred kB can hold a thousand million
// rows. What is kept of it is bounded by the memory that it takes, by kind of row: each bound
// is above what the recorder itself writes at most, so that only what no recorder wrote is cut.
const (
	roomSockets   = 112 << 20 // 210,000 of them, of which few have a process
	roomLog       = 4 << 20   // 4,096 lines of 512 bytes
	roomEvents    = 8 << 20   // 16,384
	roomDrops     = 2 << 20   // 8,192 causes times seconds
	roomProcesses = 4 << 20   // 10,000
	roomQueues    = 8 << 20   // 65,536
	roomSecond    = 16 << 20  // ten softirqs of each of 8,192 CPUs
	roomSettings  = 8 << 20   // 60 for each of 1,000 interfaces
	// longestDocument bounds a text that is read as a whole, in bytes: /proc/interrupts of 512
	// CPUs has 3 MB.
	longestDocument = 4 << 20
	// mostText bounds what is read of all members together, but for the packets: the worst
	// JSON, lists of empty objects, is read at some 10 MB/s. Five minutes of a host of 64 CPUs
	// are 300 MB, 210,000 sockets 105 MB.
	mostText = 512 << 20
)

// rows are those of one kind, in bounded memory.
type rows[T any] struct {
	room int // bytes
	held int
	left int // rows that had no room
}

// keep adds a row that has so many bytes beside itself, if there is room.
func (k *rows[T]) keep(list *[]T, row *T, beside int) {
	size := int(unsafe.Sizeof(*row)) + beside
	if k.held+size > k.room {
		k.left++
		return
	}
	k.held += size
	*list = append(*list, *row)
}

// cut says that rows had no room. Otherwise err is what is wrong.
func (k *rows[T]) cut(err error) error {
	if k.left > 0 {
		return fmt.Errorf("only the first rows of %d MiB are kept: %d are not", k.room>>20, k.left)
	}
	return err
}

// stringCost is what each string takes beside its bytes: the allocator's rounding.
const stringCost = 8

// textSize is the memory of strings.
func textSize(all ...string) (n int) {
	for _, s := range all {
		if s != "" {
			n += len(s) + stringCost
		}
	}
	return n
}

// socketSize is the memory of what a socket points to.
func socketSize(s *member.Socket) int {
	n := textSize(s.At, s.Family, s.State, s.Timer)
	if s.Memory != nil {
		n += int(unsafe.Sizeof(*s.Memory))
	}
	if s.Info != nil {
		n += int(unsafe.Sizeof(*s.Info))
	}
	n += cap(s.Process) * int(unsafe.Sizeof(member.Process{}))
	for i := range s.Process {
		p := &s.Process[i]
		n += textSize(p.Comm, p.Cmdline, p.Cgroup)
	}
	return n
}

// errNoMoreText: the bundle's texts are longer than all that is read of them.
var errNoMoreText = fmt.Errorf("it is not read to its end: the bundle holds more than %d MiB of text", mostText>>20)

// source is the content of one member on its way to a parser. It keeps what ended reading,
// since a member that is damaged is another thing than a text that is none.
type source struct {
	r      io.Reader
	closer io.Closer
	left   *int64 // bytes that may still be read, of all members
	over   error  // what ends reading then
	err    error
}

// Close closes the member, where the source has opened it.
func (s *source) Close() error { return s.closer.Close() }

// Read reads on.
func (s *source) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if *s.left <= 0 && len(b) > 0 {
		s.err = s.over
		return 0, s.err
	}
	n, err := s.r.Read(b[:min(int64(len(b)), *s.left)])
	*s.left -= int64(n)
	s.err = err
	return n, err
}

// whole reads a text that is parsed as a whole, into the buffer that all of them share. One that is
// too long is cut after a line, and the error says so. One that is damaged gives nothing: a reading
// of a moment would pass for one of everything that the kernel has to say of it.
func (e *Evidence) whole(r io.Reader) ([]byte, error) {
	e.text.Reset()
	n, err := e.text.ReadFrom(io.LimitReader(r, longestDocument+1))
	text := e.text.Bytes()
	switch {
	case err != nil:
		return nil, err
	case n > longestDocument:
		text = text[:longestDocument]
		return text[:bytes.LastIndexByte(text, '\n')+1], fmt.Errorf("only its first %d MiB are read", longestDocument>>20)
	}
	return text, nil
}
