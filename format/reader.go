package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// ErrNotBundle: the file is something else, a capture perhaps.
var ErrNotBundle = errors.New("it is not a bundle")

// ErrTruncated: the bundle was cut short; what came before the cut is good.
var ErrTruncated = errors.New("the bundle is cut short")

// maxManifest bounds the manifest in bytes, which is held in memory; one with
// 200 sources and their details has about 100 kB.
const maxManifest = 2 << 20

// maxEntries bounds each list in the manifest: in 2 MiB there is room for 700,000 empty
// sources, and every program that reads them takes a multiple of that.
const maxEntries = 10_000

// VersionError: the bundle was written by a newer recorder.
type VersionError struct{ Format int }

// Error is one sentence with both numbers and what to do (SPEC.md, "Versions").
func (e *VersionError) Error() string {
	return fmt.Sprintf("read manifest: the bundle has format %d and this program reads formats up to %d: use a newer spikebox", e.Format, Version)
}

// Reader gives access to the members of one bundle. Its methods may be called
// by several goroutines, and the members opened by each are decoded in parallel.
type Reader struct {
	// Manifest is never nil. Where damage cost it, but not everything else,
	// it has only Name, and Format is 0.
	Manifest *Manifest

	src     io.ReaderAt
	size    int64 // of the file
	lim     Limits
	frames  []frame        // not changed any more once the Reader is made
	folder  string         // that all members lie in
	members []Member       // in the order of the archive, which is that of pos
	index   map[string]int // into members, by name
	damage  []error
	closer  io.Closer // the file, if it was opened here

	mu   sync.Mutex
	idle *content // of the last member that was closed
}

// NewReader reads the bundle of size bytes in src. It decodes every frame but
// those inside of large members.
func NewReader(src io.ReaderAt, size int64, lim Limits) (*Reader, error) {
	r := &Reader{src: src, size: size, lim: lim.orDefault()}
	if err := checkMagic(src, size); err != nil {
		return nil, err
	}
	s, err := r.scan()
	if err != nil {
		return nil, err
	}
	if len(s.members) == 0 {
		return nil, nothing(s)
	}
	r.frames, r.folder, r.members, r.index = s.c.frames, s.folder, s.members, s.index
	// The sums come first: they say which members of a broken frame are whole.
	r.loadSums(s)
	s.judge()
	r.doubtSums()
	r.damage = s.damage
	s.c.note = nil
	r.idle = s.c
	if r.Manifest, err = r.readManifest(); err != nil {
		return nil, err
	}
	// The folder is what every unpacking tool shows, and its name was checked.
	if r.Manifest.Name != r.folder {
		r.damage = append(r.damage, fmt.Errorf("read manifest: it names the bundle %.80q, and its folder is %q", r.Manifest.Name, r.folder))
		r.Manifest.Name = r.folder
	}
	return r, nil
}

// checkMagic says whether src begins with a zstd frame.
func checkMagic(src io.ReaderAt, size int64) error {
	b := make([]byte, min(4, size))
	if err := readFull(src, b, 0); err != nil {
		return fmt.Errorf("read bundle: %w", err)
	}
	var h zstd.Header
	if err := h.Decode(b); errors.Is(err, zstd.ErrMagicMismatch) || len(b) < 4 {
		return fmt.Errorf("read bundle: it does not begin with a zstd frame: %w", ErrNotBundle)
	}
	return nil
}

// scan finds the members by the seek table, or by decoding everything where
// there is none or it lies (SPEC.md, "Seek table").
func (r *Reader) scan() (*scan, error) {
	frames, tableErr := readSeekTable(r.src, r.size)
	if tableErr == nil {
		// Content beyond the limits may be a lie of the table too: decoding tells,
		// and stops at the limit.
		if tableErr = r.lim.content(frames[len(frames)-1].end(), r.size); tableErr == nil {
			s, err := r.scanFrames(frames, nil)
			if err != nil || !s.lied() {
				return s, err
			}
			tableErr = errLength
		}
	}
	frames, walkErr := walkFrames(r.src, r.size)
	if limit := (*LimitError)(nil); errors.As(walkErr, &limit) {
		return nil, walkErr
	}
	s, err := r.scanFrames(frames, r.measure)
	if err != nil {
		return nil, err
	}
	// Without a table nothing but the table may be behind the last frame with data.
	if tableErr != errNoTable || walkErr == nil && fileEnd(frames) < r.size {
		s.report(fmt.Errorf("decode everything, since the seek table is of no use: %w", tableErr))
	}
	if walkErr != nil {
		s.report(walkErr)
	}
	return s, nil
}

// fileEnd is the offset in the file behind the last of frames.
func fileEnd(frames []frame) int64 {
	if len(frames) == 0 {
		return 0
	}
	last := frames[len(frames)-1]
	return last.off + last.comp
}

// scanFrames scans frames after measure has completed them, if it is given.
func (r *Reader) scanFrames(frames []frame, measure func(*content) error) (*scan, error) {
	c, err := newContent(r.src, frames)
	if err != nil {
		return nil, err
	}
	s := newScan(c, r.size, r.lim)
	if measure != nil {
		if err := measure(c); err != nil {
			return nil, err
		}
	}
	return s, s.run()
}

// measure decodes every frame to learn its length.
func (r *Reader) measure(c *content) error {
	limit := func(raw int64) error { return r.lim.content(raw, r.size) }
	for i := range c.frames {
		if err := c.measure(i, limit); err != nil {
			return err
		}
	}
	return nil
}

// nothing says why a scan found no member at all: the layer that failed is named,
// so that a capture with a wrong name is not taken for a damaged bundle.
func nothing(s *scan) error {
	if len(s.damage) == 0 && len(s.broken) == 0 {
		return fmt.Errorf("read bundle: no member is in it: %w", ErrNotBundle)
	}
	if len(s.broken) > 0 {
		first := s.broken[slices.Min(slices.Collect(maps.Keys(s.broken)))]
		if s.cut(first) {
			return fmt.Errorf("read bundle: it ends before the end of the manifest: %w", ErrTruncated)
		}
		return fmt.Errorf("read bundle: nothing in it can be read: %w", first)
	}
	return fmt.Errorf("read bundle: it is a zstd file without a tar archive: %w (%w)", ErrNotBundle, s.damage[0])
}

// readManifest reads spikebox.json and checks its version.
func (r *Reader) readManifest() (*Manifest, error) {
	i, ok := r.index[ManifestName]
	if !ok || !r.members[i].Complete {
		// The packets of an incident are worth reading without it.
		r.damage = append(r.damage, fmt.Errorf("read manifest: the bundle has none that is whole"))
		for _, m := range r.members {
			if m.Complete {
				return &Manifest{Name: r.folder}, nil
			}
		}
		return nil, fmt.Errorf("read bundle: no member of it is whole: %w", r.damage[0])
	}
	if r.members[i].Size > maxManifest {
		return nil, &LimitError{What: "bytes in the manifest", Limit: maxManifest}
	}
	f, err := r.Open(ManifestName)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if errors.Is(err, errSum) { // somebody changed it: what it says may still help
		r.damage = append(r.damage, err)
		r.members[i].Complete = false
	} else if err != nil {
		return nil, err
	}
	return parseManifest(b)
}

// parseManifest decodes spikebox.json. The version is looked at before anything else.
func parseManifest(b []byte) (*Manifest, error) {
	// A later version may have given a field another type: decoding it would fail with words
	// about that type, and not with what helps.
	var v struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	switch {
	case v.Format == nil:
		return nil, errors.New(`read manifest: it lacks "format"`)
	case *v.Format > Version:
		return nil, &VersionError{Format: *v.Format}
	case *v.Format < 1:
		return nil, fmt.Errorf("read manifest: there is no format %d", *v.Format)
	}
	m := new(Manifest)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	for what, n := range map[string]int{
		"sources": len(m.Sources), "vitals": len(m.Vitals), "clocks": len(m.Clocks), "joined triggers": len(m.Joined), "warnings": len(m.Warnings),
	} {
		if n > maxEntries {
			return nil, &LimitError{What: what + " in the manifest", Limit: maxEntries}
		}
	}
	return m, nil
}

// Folder is the name of the folder that all members lie in: one clean element of a path.
func (r *Reader) Folder() string { return r.folder }

// Members lists the bundle's files in their order, SHA256SUMS included.
func (r *Reader) Members() []Member { return append([]Member(nil), r.members...) }

// Damage lists what is wrong with the bundle as far as opening it showed: cut
// short, members that are not whole, refused or twice, sums that are missing.
// Check finds the rest.
func (r *Reader) Damage() []error { return append([]error(nil), r.damage...) }

// Close closes the file that Open or OpenStream opened. Members that are still open can no
// longer be read.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}
