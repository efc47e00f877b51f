package format

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// Check reads the whole bundle and verifies every sum. It returns all that is
// wrong with it, Damage included; nothing where it is as it was written.
func Check(r *Reader) []error {
	errs := r.Damage()
	err := r.Walk(func(m Member, content io.Reader) error {
		if !m.Complete { // Damage has it
			return nil
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			errs = append(errs, err)
		}
		return nil
	})
	if err != nil {
		errs = append(errs, err)
	}
	return errs
}

// sumOf is the sum of m's content, empty where it can not be read.
func sumOf(c *content, m Member) string {
	h := sha256.New()
	buf := make([]byte, 16<<10)
	for left := m.Size; left > 0; {
		c.pos = m.end() - left
		n, err := c.Read(buf[:min(left, int64(len(buf)))])
		h.Write(buf[:n])
		left -= int64(n)
		if err != nil && left > 0 {
			return ""
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// loadSums reads SHA256SUMS into the members (SPEC.md, "Sums").
func (r *Reader) loadSums(s *scan) {
	i, ok := r.index[SumsName]
	if !ok {
		s.report(fmt.Errorf("read %s: it is missing: %w", SumsName, ErrTruncated))
		return
	}
	m := &r.members[i]
	m.Complete = m.Complete && !s.hit(*m)
	s.c.pos = m.pos
	lines := bufio.NewScanner(io.LimitReader(s.c, m.Size))
	// The longest line there can be: more would be held in memory for a hostile one.
	lines.Buffer(nil, 2*sha256.Size+2+maxName+1)
	for n := 1; lines.Scan(); n++ {
		if err := r.sum(lines.Bytes()); err != nil {
			s.report(fmt.Errorf("read %s line %d: %w", SumsName, n, err))
		}
	}
	if err := lines.Err(); err != nil {
		s.report(fmt.Errorf("read %s: %w", SumsName, err))
	}
	if !m.Complete {
		s.report(fmt.Errorf("read %s: it is damaged, and vouches only for what it matches", SumsName))
		return
	}
	for _, m := range r.members {
		if m.SHA256 == "" && m.Name != SumsName {
			s.report(fmt.Errorf("read %s: member %q has no sum", SumsName, m.Name))
		}
	}
}

// doubtSums takes back the sums of a damaged SHA256SUMS that have not been seen to match.
func (r *Reader) doubtSums() {
	if i, ok := r.index[SumsName]; !ok || r.members[i].Complete {
		return
	}
	for i := range r.members {
		if m := &r.members[i]; !m.sound {
			m.SHA256 = ""
		}
	}
}

// sum takes one line, "<64 hexadecimal digits>  <name>" as sha256sum(1) writes it.
func (r *Reader) sum(line []byte) error {
	sum, name, ok := bytes.Cut(line, []byte("  "))
	if raw, err := hex.DecodeString(string(sum)); !ok || err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("it is no sum and name")
	}
	i, ok := r.index[string(name)]
	if !ok {
		return fmt.Errorf("member %q is lost: it is not in the bundle", name)
	}
	r.members[i].SHA256 = string(bytes.ToLower(sum))
	return nil
}
