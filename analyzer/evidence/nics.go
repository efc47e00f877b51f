package evidence

import (
	"io"

	"github.com/spikebox/spikebox/format/member"
)

// mostNICs bounds the interfaces whose settings are kept.
const mostNICs = 10_000

// readNIC keeps the settings of one interface, as its driver tells them.
func (e *Evidence) readNIC(_ string, r io.Reader) error {
	text, err := e.whole(r)
	if err != nil {
		return err
	}
	nic, err := member.ParseNIC(text)
	if err == nil && len(e.NICs) < mostNICs {
		if e.NICs == nil {
			e.NICs = map[string]*member.NIC{}
		}
		e.NICs[nic.Interface] = nic
	}
	return err
}
