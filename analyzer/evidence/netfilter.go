package evidence

import (
	"io"

	"github.com/spikebox/spikebox/format/member"
)

// readNetfilter keeps the names and sizes of rule sets.
func (e *Evidence) readNetfilter(_ string, r io.Reader) error {
	text, err := e.whole(r)
	if err != nil {
		return err
	}
	e.Netfilter, err = member.ParseNetfilter(text)
	return err
}
