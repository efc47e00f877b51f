package format

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"time"
)

// Writer streams one bundle into a temporary file and gives it its final name
// at Commit. The first error is final: every later call returns it, and only
// Abort is left. A Writer's memory does not grow with the bundle's size, only
// with the number of members (their sums). It is not for concurrent use.
type Writer struct {
	disk      Disk
	dir, name string
	at        time.Time // of all members
	f         File      // the temporary one
	frames    frameWriter
	sums      bytes.Buffer    // SHA256SUMS so far
	names     map[string]bool // of all members so far
	done      bool            // committed or aborted
	err       error           // the first one
}

// errDone: a call after Commit or Abort.
var errDone = errors.New("write bundle: it is already committed or aborted")

// Create starts the bundle name in dir as a hidden temporary file of mode 0600,
// locked against Sweep. The time at, usually the trigger's, is that of all
// members. The manifest has to be written first.
func Create(dir, name string, at time.Time) (*Writer, error) { return CreateOn(OS, dir, name, at) }

// CreateOn is Create on another file system than that of the operating system.
func CreateOn(disk Disk, dir, name string, at time.Time) (*Writer, error) {
	if err := checkBundleName(name); err != nil {
		return nil, err
	}
	f, err := disk.Create(dir, name)
	if err != nil {
		return nil, fmt.Errorf("create bundle %s: %w", filepath.Join(dir, name+Ext), err)
	}
	w := newWriter(f, dir, name, at)
	w.disk = disk
	return w, nil
}

// newWriter writes to f, which it does not create.
func newWriter(f File, dir, name string, at time.Time) *Writer {
	return &Writer{disk: OS, dir: dir, name: name, at: at, f: f, frames: frameWriter{out: f}, names: map[string]bool{}}
}

// Manifest writes m as the first member, alone in its frame, so that no damage
// elsewhere costs it. Format and Name are set by the Writer.
func (w *Writer) Manifest(m *Manifest) error {
	if err := w.usable(); err != nil {
		return err
	}
	if len(w.names) > 0 {
		return errors.New("write manifest: it has to be the first member")
	}
	c := *m
	c.Format, c.Name = Version, w.name
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // keeps "rtt.p99 > 200ms" readable
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	if err := w.add(ManifestName, int64(b.Len()), give(b.Bytes())); err != nil {
		return err
	}
	return w.NewFrame()
}

// Add writes the member name with content data.
func (w *Writer) Add(name string, data []byte) error {
	return w.AddSized(name, int64(len(data)), give(data))
}

// AddSized writes the member name, whose content of exactly size bytes the
// function write gives. If it gives more or fewer, or fails, the bundle is
// unusable. A name that SPEC.md, "Names" does not allow is refused before
// anything is written, and the bundle can go on without it.
func (w *Writer) AddSized(name string, size int64, write func(io.Writer) error) error {
	if err := w.usable(); err != nil {
		return err
	}
	switch {
	case len(w.names) == 0:
		return fmt.Errorf("write member %q: the manifest has to be written first", name)
	case w.names[name] || name == SumsName:
		return fmt.Errorf("write member %q: it is in the bundle already, or reserved", name)
	case size < 0:
		return fmt.Errorf("write member %q: its size is %d", name, size)
	}
	if err := checkName(w.name + "/" + name); err != nil {
		return err
	}
	return w.add(name, size, write)
}

// usable returns the error that ended the Writer's use.
func (w *Writer) usable() error {
	if w.err == nil && w.done {
		w.err = errDone
	}
	return w.err
}

// add writes any member: header, content and padding, and takes its line of
// SHA256SUMS. The tar package is used for headers alone, since the length of a
// member, header and all, decides about its frames before its first byte.
func (w *Writer) add(name string, size int64, write func(io.Writer) error) error {
	head, err := tarHeader(w.name+"/"+name, size, w.at)
	if err != nil {
		return err
	}
	to := &memberWriter{out: &w.frames, left: size, sum: sha256.New()}
	err = w.frames.member(int64(len(head)) + size + padding(size))
	if err == nil {
		_, err = w.frames.Write(head)
	}
	if err == nil {
		err = to.fill(write)
	}
	if err == nil {
		_, err = w.frames.Write(zeros[:padding(size)])
	}
	w.names[name] = true
	fmt.Fprintf(&w.sums, "%x  %s\n", to.sum.Sum(nil), name)
	return w.fail(fmt.Sprintf("member %q", name), err)
}

// give returns a function that writes data.
func give(data []byte) func(io.Writer) error {
	return func(to io.Writer) error {
		_, err := to.Write(data)
		return err
	}
}

// fail keeps the first error, with the offset in the file that was reached.
func (w *Writer) fail(what string, err error) error {
	if w.frames.failed != nil {
		err = w.frames.failed
	}
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("write %s at file offset %d: %w", what, w.frames.off, err)
	}
	return w.err
}

// memberWriter passes on the content of one member and holds it to its size.
type memberWriter struct {
	out  io.Writer
	left int64
	sum  hash.Hash
	err  error
}

// fill lets write give the content and holds it to its word.
func (m *memberWriter) fill(write func(io.Writer) error) error {
	err := write(m)
	switch {
	case m.err != nil:
		return m.err
	case err != nil:
		return err
	case m.left > 0:
		return fmt.Errorf("%d bytes fewer than announced", m.left)
	}
	return nil
}

// Write refuses all of p if it does not fit: half of it would be of no use.
func (m *memberWriter) Write(p []byte) (int, error) {
	if m.err == nil && int64(len(p)) > m.left {
		m.err = fmt.Errorf("%d bytes more than announced", int64(len(p))-m.left)
	}
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.out.Write(p)
	m.sum.Write(p[:n])
	m.left -= int64(n)
	m.err = err
	return n, err
}

// NewFrame starts a new zstd frame at the next member: those added between two
// calls share one and are best read together. Large members have their own anyway.
func (w *Writer) NewFrame() error {
	if err := w.usable(); err != nil {
		return err
	}
	return w.fail("end of frame", w.frames.cut())
}

// Commit writes SHA256SUMS and the seek table, makes the file durable and gives
// it its final name, which it returns. After an error there is no file under
// the final name, with one exception: where only the folder could not be
// synced, the path of the whole bundle is returned together with the error.
func (w *Writer) Commit() (string, error) {
	if err := w.usable(); err != nil {
		return "", err
	}
	if len(w.names) == 0 {
		return "", errors.New("commit bundle: it has no manifest")
	}
	if err := w.finish(); err != nil {
		return "", err
	}
	final := filepath.Join(w.dir, w.name+Ext)
	if err := w.disk.Publish(w.f, final); err != nil {
		return "", w.fail("bundle", err)
	}
	w.done = true
	// Only now does the name survive a power cut.
	if err := w.disk.SyncDir(w.dir); err != nil {
		return final, fmt.Errorf("sync folder %s: %w", w.dir, err)
	}
	return final, nil
}

// finish writes everything behind the last member and syncs the file.
func (w *Writer) finish() error {
	if err := w.NewFrame(); err != nil { // no damage to evidence may cost the sums
		return err
	}
	sums := bytes.Clone(w.sums.Bytes()) // add appends to it
	if err := w.add(SumsName, int64(len(sums)), give(sums)); err != nil {
		return err
	}
	_, err := w.frames.Write(zeros[:])
	if err == nil {
		err = w.frames.finish()
	}
	if err == nil {
		err = w.f.Sync()
	}
	return w.fail("end of bundle", err)
}

// Abort closes and removes the temporary file. After Commit it does nothing, so
// it can be deferred.
func (w *Writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	if err := w.disk.Discard(w.f); err != nil {
		return fmt.Errorf("remove unfinished bundle: %w", err)
	}
	return nil
}
