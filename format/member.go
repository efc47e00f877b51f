package format

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// errSum: a member's content is not what SHA256SUMS says.
var errSum = errors.New("its SHA-256 sum is not the one in SHA256SUMS")

// Open opens the member name for reading. What is not there, or not as SHA256SUMS has it,
// ends in an error that names the member and the offset, never in a clean end of file. Members
// are cheapest to open in the order of Members, one after the other.
func (r *Reader) Open(name string) (io.ReadCloser, error) {
	i, ok := r.index[name]
	if !ok {
		return nil, fmt.Errorf("open member %q: %w", name, os.ErrNotExist)
	}
	return r.open(r.members[i])
}

// open takes the decoder of the member that was closed last: one that is further
// on in the same frame is then not decoded from the frame's begin. This keeps
// reading 15,000 snapshots of one frame linear.
func (r *Reader) open(m Member) (*memberReader, error) {
	r.mu.Lock()
	c := r.idle
	r.idle = nil
	r.mu.Unlock()
	if c == nil {
		var err error
		if c, err = newContent(r.src, r.frames); err != nil {
			return nil, err
		}
	}
	mr := &memberReader{r: r, c: c, m: m}
	if m.SHA256 != "" && m.Complete && !m.sound {
		mr.sum = sha256.New()
	}
	return mr, nil
}

// Walk calls f for every member in order, with a reader of its content that is
// good until f returns, and ends at f's first error. What f does not read of a
// large member is not decoded.
func (r *Reader) Walk(f func(Member, io.Reader) error) error {
	for _, m := range r.members {
		mr, err := r.open(m)
		if err != nil {
			return err
		}
		err = f(m, mr)
		mr.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// memberReader reads the content of one member. It has a decoder of its own.
type memberReader struct {
	r   *Reader
	c   *content
	m   Member
	off int64
	sum hash.Hash // of what was read; nil where there is nothing left to compare
	err error     // comes with the next Read
}

// Read keeps an error that comes together with data for the next call: readers
// such as io.ReadFull would drop it.
func (r *memberReader) Read(p []byte) (int, error) {
	switch {
	case r.c == nil:
		return 0, os.ErrClosed
	case r.err != nil:
		return 0, r.err
	case r.off == r.m.Size:
		r.err = r.finish()
		return 0, r.err
	case len(p) == 0:
		return 0, nil
	}
	r.c.pos = r.m.pos + r.off
	n, err := r.c.Read(p[:min(int64(len(p)), r.m.Size-r.off)])
	r.off += int64(n)
	if r.sum != nil {
		r.sum.Write(p[:n])
	}
	if err == io.EOF { // of the archive, not of the member
		err = ErrTruncated
	}
	if err != nil {
		r.err = r.damaged(err)
		if n > 0 {
			err = nil
		}
	}
	if n == 0 {
		err = r.err
	}
	return n, err
}

// finish ends the content: with io.EOF only where nothing is wrong with it. The
// padding is read too, since the checksum of a large member's last frame is behind it.
func (r *memberReader) finish() error {
	switch {
	case !r.m.Complete:
		return r.damaged(errSum)
	case r.m.sound:
		return io.EOF
	}
	pad := make([]byte, padding(r.m.Size))
	r.c.pos = r.m.end()
	if _, err := io.ReadFull(r.c, pad); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return r.damaged(err)
	}
	// The frames are sound: a wrong sum finds what was changed on purpose, or before it
	// was compressed.
	if r.sum != nil && hex.EncodeToString(r.sum.Sum(nil)) != r.m.SHA256 {
		return r.damaged(errSum)
	}
	return io.EOF
}

// DamageError says that a member is not what was written.
type DamageError struct {
	Member string
	Offset int64 // of its content, bytes
	Err    error
}

// Error names the member and the offset in it.
func (e *DamageError) Error() string {
	return fmt.Sprintf("read member %q at offset %d: %v", e.Member, e.Offset, e.Err)
}

// Unwrap returns the reason.
func (e *DamageError) Unwrap() error { return e.Err }

func (r *memberReader) damaged(err error) error { return &DamageError{r.m.Name, r.off, err} }

// Close gives the decoder back for the next member.
func (r *memberReader) Close() error {
	if r.c != nil {
		r.r.mu.Lock()
		r.r.idle = r.c
		r.r.mu.Unlock()
		r.c = nil
	}
	return nil
}
