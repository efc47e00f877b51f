//go:build linux

package source

import (
	"time"

	"github.com/spikebox/spikebox/format"
)

// silence gives the longest silence of a window, and says what was silent: all texts, or one of them for longer.
func (s *Snapshots) silence(start, end time.Time) (longest format.Silence, says []string) {
	whole := s.gaps.Within(start, end)
	longest = whole
	if whole.Gaps > 0 {
		says = append(says, whole.String())
	}
	for _, path := range s.order {
		f := s.files[path]
		if f == nil {
			continue
		}
		own := f.gaps.Within(start, end)
		if own.Total <= whole.Total { // what all of them miss has been said
			continue
		}
		says = append(says, path+" gave "+own.String())
		if own.Total > longest.Total {
			longest = own
		}
	}
	return longest, says
}
