package format

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Member is one file of a bundle.
type Member struct {
	Name   string `json:"name"`             // relative to the bundle's folder, with slashes
	Size   int64  `json:"bytes"`            // as its tar header says
	SHA256 string `json:"sha256,omitempty"` // hexadecimal, from SHA256SUMS; empty without it
	// Complete: all bytes are there, and what has been decoded so far is right.
	// Frames of large members are verified when they are read, and by Check.
	Complete bool `json:"complete"`

	pos   int64 // of the content in the archive
	sound bool  // its sum was verified when the bundle was opened
}

func (m Member) end() int64 { return m.pos + m.Size }

// maxDamage bounds the list of damage: a hostile file may have 250,000 faults.
const maxDamage = 1000

// searchBudget is how often the archive may be decoded to find headers behind
// damage. A sound one is decoded once, one with a broken frame little more.
const searchBudget = 4

// scan finds the members of an archive, and gets around damage.
type scan struct {
	c       *content
	size    int64 // of the file
	lim     Limits
	folder  string // that all members lie in
	members []Member
	index   map[string]int      // into members
	broken  map[int]*frameError // frames
	headers int                 // tar headers seen, also refused ones
	damage  []error
}

func newScan(c *content, size int64, lim Limits) *scan {
	s := &scan{c: c, size: size, lim: lim, index: map[string]int{}, broken: map[int]*frameError{}}
	c.note = func(e *frameError) {
		if s.broken[e.index] == nil {
			s.broken[e.index] = e
		}
		if errors.Is(e, zstd.ErrCRCMismatch) {
			c.frames[e.index].bad = true
		}
	}
	return s
}

// report adds to the damage.
func (s *scan) report(err error) {
	switch {
	case len(s.damage) < maxDamage:
		s.damage = append(s.damage, err)
	case len(s.damage) == maxDamage:
		s.damage = append(s.damage, fmt.Errorf("stop listing damage after %d faults", maxDamage))
	}
}

// run visits every tar header. Behind damage it goes on at the next header that
// it finds. The error is a *LimitError.
func (s *scan) run() error {
	var lost error // since lostAt no header was found
	var lostAt int64
	for pos := int64(0); pos < s.c.size; {
		h, err := s.header(pos)
		if err == nil {
			if lost != nil {
				s.report(fmt.Errorf("skip %d bytes of the archive at offset %d: %w", pos-lostAt, lostAt, lost))
				lost = nil
			}
			if err := s.accept(h); err != nil {
				return err
			}
			if h.Size > s.c.size-s.c.pos { // also keeps the sum below from overflowing
				break
			}
			// Blocks count from the header, which damage before it may have moved.
			n := s.c.pos + h.Size - pos
			pos += n + padding(n)
			continue
		}
		if err == io.EOF && lost == nil {
			break // two empty blocks: the archive's end
		}
		if errors.Is(err, zstd.ErrCRCMismatch) {
			continue // its frame is known as bad now, and decoded all the same
		}
		if lost == nil {
			lost, lostAt = err, pos
		}
		// Every try may decode a frame anew, and a hostile archive have a million.
		if s.c.decoded > searchBudget*s.c.size+ratioFloor {
			break
		}
		pos = s.next(pos, err)
	}
	if lost != nil {
		s.report(fmt.Errorf("read archive at offset %d: %w", lostAt, lost))
	}
	s.leave(s.c.size)
	return nil
}

// header reads the tar header at pos, with a tar.Reader of its own: one that lived
// longer would not go on after an error, and would read what is to be skipped.
func (s *scan) header(pos int64) (*tar.Header, error) {
	s.leave(pos)
	s.c.pos = pos
	r := tar.NewReader(s.c)
	h, err := r.Next()
	// Of a sparse file only the tar package knows how long it is in the archive.
	for err == nil && sparse(h) {
		s.headers++
		s.report(fmt.Errorf("refuse member %.80q: it is a sparse file", h.Name))
		h, err = r.Next()
	}
	return h, err
}

// leave verifies the current frame when pos is beyond it: a frame that holds a
// header is always decoded to its checksum.
func (s *scan) leave(pos int64) {
	if cur := s.c.cur; cur >= 0 && s.c.frames[cur].end() <= pos {
		s.c.verify(cur) // noted
	}
}

// next is where the next header may be, after err at pos: in a frame that can
// be decoded although its checksum is wrong at any block, else at the next
// frame's begin.
func (s *scan) next(pos int64, err error) int64 {
	f := s.c.frames
	i := sort.Search(len(f), func(i int) bool { return f[i].pos > pos })
	if broken := (*frameError)(nil); i > 0 && !errors.As(err, &broken) {
		if !f[i-1].bad {
			s.c.verify(i - 1) // noted
		}
		if f[i-1].bad {
			return pos + tarBlock
		}
	}
	if i == len(f) {
		return s.c.size
	}
	return f[i].pos
}

// accept takes the member with header h, whose content begins at the current position.
func (s *scan) accept(h *tar.Header) error {
	// Refused ones count too, or a million of them would cost time for nothing.
	if s.headers++; s.headers > s.lim.MaxMembers {
		return &LimitError{What: "members", Limit: int64(s.lim.MaxMembers)}
	}
	if h.Size > s.lim.MaxMember {
		return &LimitError{What: fmt.Sprintf("bytes in member %.80q", h.Name), Limit: s.lim.MaxMember}
	}
	name, err := s.name(h)
	if err != nil {
		s.report(err)
	}
	if name == "" {
		return nil
	}
	m := Member{Name: name, Size: h.Size, pos: s.c.pos, Complete: h.Size <= s.c.size-s.c.pos}
	if !m.Complete {
		s.report(fmt.Errorf("read member %q: %d of its %d bytes are there: %w",
			name, max(0, s.c.size-m.pos), m.Size, ErrTruncated))
	}
	s.index[name] = len(s.members)
	s.members = append(s.members, m)
	return nil
}

// name is the member's name in the bundle's folder, empty if it is to be left out.
func (s *scan) name(h *tar.Header) (string, error) {
	full := h.Name
	if h.Typeflag == tar.TypeDir { // harmless: from a bundle that was packed again
		full = strings.TrimSuffix(full, "/")
	}
	if err := checkName(full); err != nil {
		return "", err
	}
	if kind := refusedType(h); kind != "" {
		return "", fmt.Errorf("refuse member %q: it is %s", full, kind)
	}
	folder, name, _ := strings.Cut(full, "/")
	if s.folder == "" { // the first member's name is as good as any
		s.folder = folder
	}
	switch {
	case folder != s.folder:
		return "", fmt.Errorf("refuse member %q: it is outside of the bundle's folder %q", full, s.folder)
	case h.Typeflag == tar.TypeDir:
		return "", nil
	case name == "":
		return "", fmt.Errorf("refuse member %q: it is in no folder", full)
	}
	if _, twice := s.index[name]; twice {
		return "", fmt.Errorf("refuse member %q: the bundle has it twice, the first is used", name)
	}
	return name, nil
}

// refusedType names what a member may not be (SPEC.md, "Tar").
func refusedType(h *tar.Header) string {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
		return ""
	case tar.TypeLink, tar.TypeSymlink:
		return "a link"
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "a device"
	}
	return fmt.Sprintf("of tar type %q", h.Typeflag)
}

// sparse reports whether h is of a file with holes, in one of GNU tar's four forms.
func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}
