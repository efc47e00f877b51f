//go:build linux

package ring

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// A segment is what is dropped at once when the ring is full. 32 snapshots share
	// a compressor's window, so that each costs little more than what changed in it.
	segmentSnapshots = 32
	// The window must hold a few snapshots for the next to be compressed against them;
	// 4 MiB holds one of a host with 64 CPUs and 1,000 interfaces.
	textWindow = 4 << 20
)

// Texts keeps the newest snapshots of kernel texts, compressed against their
// predecessors. Its memory is bounded by bytes of compressed segments, and by their age.
type Texts struct {
	limit   int
	age     time.Duration
	closed  []*segment // oldest first
	current *segment   // being written; nil before the first snapshot and after a cut
	encoder *zstd.Encoder
	paths   map[string]uint64 // numbers of the current segment's names
}

// segment is one zstd frame of records: time since first, path, length, text.
type segment struct {
	first, last time.Time
	snapshots   int
	names       []string // paths by number: interfaces come and go, and their paths with what was read of them
	frame       bytes.Buffer
}

// NewTexts makes a ring of at most limit bytes of compressed texts, none of which is older than age by more
// than a segment, and one segment more while it is being written.
func NewTexts(limit int, age time.Duration) (*Texts, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(textWindow))
	if err != nil {
		return nil, fmt.Errorf("make snapshot compressor: %w", err)
	}
	return &Texts{limit: limit, age: age, encoder: encoder, paths: map[string]uint64{}}, nil
}

// Begin starts a snapshot taken at a time; Add adds its texts.
func (t *Texts) Begin(at time.Time) error {
	if t.current == nil || t.current.snapshots == segmentSnapshots {
		if err := t.close(); err != nil {
			return err
		}
		t.current = &segment{first: at}
		clear(t.paths)
		t.encoder.Reset(&t.current.frame)
	}
	t.current.last = at
	t.current.snapshots++
	return nil
}

// Add adds one file's text to the snapshot that Begin started.
func (t *Texts) Add(path string, text []byte) error {
	id, ok := t.paths[path]
	if !ok {
		id = uint64(len(t.current.names))
		t.paths[path] = id
		t.current.names = append(t.current.names, path)
	}
	var head [3 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(max(0, t.current.last.Sub(t.current.first))))
	n += binary.PutUvarint(head[n:], id)
	n += binary.PutUvarint(head[n:], uint64(len(text)))
	if _, err := t.encoder.Write(head[:n]); err != nil {
		return err
	}
	_, err := t.encoder.Write(text)
	return err
}

// close ends the current segment and drops old ones until the limits are kept.
func (t *Texts) close() error {
	if t.current == nil {
		return nil
	}
	if err := t.encoder.Close(); err != nil {
		return fmt.Errorf("close snapshot segment: %w", err)
	}
	t.closed = append(t.closed, t.current)
	oldest := t.current.last.Add(-t.age)
	t.current = nil
	size := 0
	for i := len(t.closed) - 1; i >= 0; i-- {
		if size += t.closed[i].frame.Len(); size > t.limit || t.closed[i].last.Before(oldest) {
			t.closed = append([]*segment(nil), t.closed[i+1:]...)
			break
		}
	}
	return nil
}

// Bytes is the size of the compressed snapshots that the ring holds.
func (t *Texts) Bytes() int {
	size := 0
	for _, s := range t.closed {
		size += s.frame.Len()
	}
	return size
}

// TextCut is what the ring held at one moment. It stays as it is while the ring goes on.
type TextCut struct{ segments []*segment }

// Cut gives everything that the ring holds.
func (t *Texts) Cut() (*TextCut, error) {
	if err := t.close(); err != nil {
		return nil, err
	}
	return &TextCut{append([]*segment(nil), t.closed...)}, nil
}

// Bytes is the size of the cut, compressed.
func (c *TextCut) Bytes() (size int64) {
	for _, s := range c.segments {
		size += int64(s.frame.Len())
	}
	return size
}

// Snapshots calls f for every text that was taken in [start, end], oldest first. The
// text is valid during the call.
func (c *TextCut) Snapshots(start, end time.Time, f func(at time.Time, path string, text []byte) error) error {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(textWindow))
	if err != nil {
		return fmt.Errorf("make snapshot decompressor: %w", err)
	}
	defer decoder.Close()
	for _, s := range c.segments {
		if s.last.Before(start) || s.first.After(end) {
			continue
		}
		// A segment is read from its begin even for its last snapshot: each text is compressed
		// against those before it.
		if err := decoder.Reset(bytes.NewReader(s.frame.Bytes())); err != nil {
			return fmt.Errorf("read snapshots of %s: %w", s.first.Format(time.RFC3339), err)
		}
		within := func(at time.Time, path string, text []byte) error {
			if at.Before(start) || at.After(end) {
				return nil
			}
			return f(at, path, text)
		}
		if err := s.records(bufio.NewReader(decoder), within); err != nil {
			return fmt.Errorf("read snapshots of %s: %w", s.first.Format(time.RFC3339), err)
		}
	}
	return nil
}

func (s *segment) records(r *bufio.Reader, f func(time.Time, string, []byte) error) error {
	var text []byte
	for {
		offset, err := binary.ReadUvarint(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		id, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		text = slices.Grow(text[:0], int(size))[:size]
		if _, err := io.ReadFull(r, text); err != nil {
			return err
		}
		if err := f(s.first.Add(time.Duration(offset)), s.names[id], text); err != nil {
			return err
		}
	}
}
