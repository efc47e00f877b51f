package moved

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/unit"
)

// Beside says what a reader wants to know beside the value: what it was before, since when,
// and what else is the same. Its score compares noise, and would be taken for a quotient of these two.
func (l *Line) Beside() string {
	return fmt.Sprintf("usually %s, from %s", unit.Prose(l.Usual, l.Unit), words.Clock(l.First)) + l.Also()
}

// Also names what else is the same, as the end of a sentence; empty where nothing is.
func (l *Line) Also() string {
	switch with := len(l.With) + l.More; {
	case with == 1:
		return ", also as " + l.With[0]
	case with > 1:
		return fmt.Sprintf(", with %s and %d more", l.With[0], with-1)
	}
	return ""
}

// Stands says whether anything stands out.
func Stands(lines []Line) bool { return len(lines) > 0 && lines[0].Score >= Much }

// Summary says as a clause what stands out, the first three by name.
func Summary(lines []Line) string {
	const named = 3
	var texts []string
	for _, l := range lines {
		if l.Score >= Much && len(texts) < named {
			texts = append(texts, fmt.Sprintf("%s (%s, usually %s)", l.Series, unit.Prose(l.Value, l.Unit), unit.Prose(l.Usual, l.Unit)))
		}
	}
	if len(texts) == 0 {
		return "nothing moved much"
	}
	return "what moved most: " + words.List(texts)
}
