//go:build linux

package freeze

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/capture"
)

const (
	// nearBefore and nearAfter are what is kept of the packets around the trigger where there
	// is no room for all: of the vitals the slowest averages over two seconds, and a SYN that
	// is sent again after one second and after three begins within five.
	nearBefore = 5 * time.Second
	nearAfter  = time.Second
	// nearMemory and farMemory bound what of the compressed packets is held in memory: those
	// near the trigger need no disk at all up to some 800,000 headers of 20 bytes each.
	nearMemory = 16 << 20
	farMemory  = 4 << 20
)

// spool holds the packets of a cut, compressed, so that the rings have their blocks back
// within a moment: the one-off sources may take seconds, and until a cut is closed the
// kernel has only the rings' reserve to record into.
type spool struct {
	head, foot, nearFoot bytes.Buffer
	before, near, after  pile
	nearPackets          uint64
	packets              uint64
}

// spooled takes a cut's packets apart. What finds no room is lost for itself: the error is
// of the cut.
func spooled(cut *capture.Cut, trigger time.Time, open func() (spoolFile, error), o capture.PcapngOptions) (*spool, error) {
	s := &spool{
		before: pile{most: farMemory, open: open}, near: pile{most: nearMemory, open: open},
		after: pile{most: farMemory, open: open}, packets: cut.Packets(),
	}
	n, err := cut.WritePieces(capture.Pieces{
		From: trigger.Add(-nearBefore), To: trigger.Add(nearAfter),
		Head: &s.head, Before: &s.before, Near: &s.near, After: &s.after, Foot: &s.foot, NearFoot: &s.nearFoot,
	}, o)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("spool packets: %w", err)
	}
	s.nearPackets = n
	for _, p := range []*pile{&s.before, &s.near, &s.after} {
		p.end()
	}
	return s, nil
}

// parts are what a member of an extent is made of.
func (s *spool) parts(x extent) (head *bytes.Buffer, piles []*pile, foot *bytes.Buffer) {
	if x == nearPackets {
		return &s.head, []*pile{&s.near}, &s.nearFoot
	}
	return &s.head, []*pile{&s.before, &s.near, &s.after}, &s.foot
}

// size is that of the content, and what it takes compressed. The error is why it is not there.
func (s *spool) size(x extent) (content, compressed int64, err error) {
	head, piles, foot := s.parts(x)
	content = int64(head.Len() + foot.Len())
	compressed = content
	for _, p := range piles {
		if p.err != nil {
			return 0, 0, p.err
		}
		content += p.content
		compressed += p.size
	}
	return content, compressed, nil
}

// far are the pieces that an extent without all packets leaves out.
func (s *spool) far() []*pile { return []*pile{&s.before, &s.after} }

// onDisk is what of far lies in files.
func (s *spool) onDisk() (size int64) {
	for _, p := range s.far() {
		if p.file != nil {
			size += p.size - int64(p.memory.Len())
		}
	}
	return size
}

// dropFar makes room on the disk that the spool lies on.
func (s *spool) dropFar() {
	for _, p := range s.far() {
		if p.file != nil {
			p.drop(errSpent)
		}
	}
}

// errSpent: the packets made room for the bundle.
var errSpent = errors.New("packets far from the trigger gave their room on the disk to the bundle")

// writeTo gives the content back. With spend the files of far shrink as they are read, and
// it can be had once only.
func (s *spool) writeTo(w io.Writer, x extent, spend bool) error {
	head, piles, foot := s.parts(x)
	if _, err := w.Write(head.Bytes()); err != nil {
		return err
	}
	for _, p := range piles {
		if err := p.writeTo(w, spend && p != &s.near); err != nil {
			return fmt.Errorf("read spooled packets: %w", err)
		}
	}
	_, err := w.Write(foot.Bytes())
	return err
}

func (s *spool) close() {
	for _, p := range []*pile{&s.before, &s.near, &s.after} {
		p.drop(nil)
	}
}

// spoolFile is a file that nobody else sees and that is gone with the process.
type spoolFile interface {
	io.WriteCloser
	io.ReaderAt
	// Punch gives back the room of n bytes from an offset on, which are lost.
	Punch(off, n int64) error
}

// pile is one piece of the packets: compressed, in memory up to a bound and then in a
// file. It takes everything, also what it has to throw away, so that the pieces behind it
// are had all the same.
type pile struct {
	most    int // bytes in memory
	open    func() (spoolFile, error)
	content int64 // bytes that were written to it
	size    int64 // bytes compressed
	err     error // why it holds nothing
	enc     *zstd.Encoder
	memory  bytes.Buffer
	file    spoolFile
}

// Write compresses.
func (p *pile) Write(b []byte) (int, error) {
	if p.enc == nil && p.err == nil {
		enc, err := zstd.NewWriter(compressed{p}, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			p.drop(err)
		}
		p.enc = enc
	}
	if p.err == nil {
		if _, err := p.enc.Write(b); err != nil {
			p.drop(err)
		}
	}
	p.content += int64(len(b))
	return len(b), nil
}

// end makes what was written readable.
func (p *pile) end() {
	if p.enc != nil && p.err == nil {
		if err := p.enc.Close(); err != nil {
			p.drop(err)
		}
	}
	p.enc = nil
}

// drop lets go of what the pile holds.
func (p *pile) drop(why error) {
	p.err = why
	p.memory = bytes.Buffer{}
	if p.file != nil {
		p.file.Close()
		p.file = nil
	}
}

func (p *pile) writeTo(w io.Writer, spend bool) error {
	if p.size == 0 {
		return nil
	}
	// Read at offsets, for several attempts at a bundle read one after the other, and one that
	// hangs in the disk may wake while the next reads.
	var r io.Reader = bytes.NewReader(p.memory.Bytes())
	if p.file != nil {
		var file io.Reader = io.NewSectionReader(p.file, 0, p.size-int64(p.memory.Len()))
		if spend {
			p.err = errSpent
			file = &spending{Reader: file, file: p.file}
		}
		r = io.MultiReader(r, file)
	}
	dec, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer dec.Close()
	_, err = io.Copy(w, dec)
	return err
}

// compressed takes a pile's compressed bytes.
type compressed struct{ p *pile }

func (c compressed) Write(b []byte) (n int, err error) {
	p := c.p
	if p.file == nil && p.memory.Len()+len(b) <= p.most {
		p.size += int64(len(b))
		return p.memory.Write(b)
	}
	if p.file == nil {
		if p.file, err = p.open(); err != nil {
			p.file = nil // and not an interface that holds a nil pointer
			return 0, err
		}
	}
	n, err = p.file.Write(b)
	p.size += int64(n)
	return n, err
}

// spending reads a file and gives its room back behind itself.
type spending struct {
	io.Reader
	file       spoolFile
	read, gone int64
}

// spendEvery is how much is given back at once: what a bundle may lack for the moment.
const spendEvery = 256 << 10

func (s *spending) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if s.read += int64(n); s.read-s.gone >= spendEvery {
		// A file system that cannot do this is as full as it was, and the bundle will find out.
		s.file.Punch(s.gone, s.read-s.gone)
		s.gone = s.read
	}
	return n, err
}

// nameless is a spoolFile of the operating system.
type nameless struct{ *os.File }

func (f nameless) Punch(off, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

// unnamed opens a file without a name; where the file system has no O_TMPFILE, one whose
// name is gone at once.
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir), nil
	}
	file, err := os.CreateTemp(dir, ".spool-*")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}
