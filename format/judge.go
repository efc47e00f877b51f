package format

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
)

// lied reports whether the seek table gave a sound frame a wrong length. Frames
// that are said to be empty, which nobody would read, are asked; and all are
// where the archive could not be followed.
func (s *scan) lied() bool {
	for i, f := range s.c.frames {
		if s.broken[i] == nil && (f.raw == 0 || len(s.damage) > 0) {
			s.c.verify(i) // noted
		}
	}
	for _, e := range s.broken {
		if errors.Is(e, errLength) {
			return true
		}
	}
	return false
}

// judge finds out which members the broken frames cost (SPEC.md, "Damage"). A
// member that lies in several of them is hashed once at most.
func (s *scan) judge() {
	for _, i := range slices.Sorted(maps.Keys(s.broken)) {
		e, f := s.broken[i], s.c.frames[i]
		s.report(e)
		first := sort.Search(len(s.members), func(k int) bool { return s.members[k].end() > f.pos })
		for k := first; k < len(s.members) && s.members[k].pos < max(f.end(), e.at); k++ {
			m := &s.members[k]
			if !m.Complete || m.sound {
				continue
			}
			m.Complete, m.sound = s.whole(*m, e)
			if !m.Complete {
				s.report(fmt.Errorf("read member %q: it is damaged: %w", m.Name, e))
			}
		}
	}
}

// hit reports whether a broken frame holds some of m.
func (s *scan) hit(m Member) bool {
	for i := range s.broken {
		if f := s.c.frames[i]; m.pos < f.end() && f.pos < m.end() {
			return true
		}
	}
	return false
}

// whole reports whether m is, in spite of the broken frame that it lies in. Its
// sum decides where it has one. Without, it is if the file was cut behind it:
// after any other damage nothing in the frame can be trusted.
func (s *scan) whole(m Member, e *frameError) (whole, sound bool) {
	// With the padding, so that reading the member to its end meets no error either.
	end := m.end() + padding(m.Size)
	switch {
	case !s.c.frames[e.index].bad && end > e.at:
		return false, false
	case m.SHA256 != "":
		sound = sumOf(s.c, m) == m.SHA256
		return sound, sound
	}
	return s.cut(e), false
}

// cut reports whether e is the end of the file inside its last frame. Any frame
// can end unexpectedly when its block headers are damaged, but not at that place.
func (s *scan) cut(e *frameError) bool {
	return errors.Is(e, io.ErrUnexpectedEOF) && e.frame.off+e.frame.comp == s.size
}
