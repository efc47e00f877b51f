package format

import (
	"fmt"
	"io"
)

// Dump writes r as text for tests and people: a line for each zstd frame and
// for each member, with the member's place in the archive, then the damage.
func Dump(w io.Writer, r *Reader) error {
	_, err := fmt.Fprintf(w, "bundle %q format %d\n", r.Manifest.Name, r.Manifest.Format)
	for i, f := range r.frames {
		if err == nil {
			_, err = fmt.Fprintf(w, "frame %d file %d+%d archive %d+%d\n", i, f.off, f.comp, f.pos, f.raw)
		}
	}
	for _, m := range r.members {
		state := "complete"
		if !m.Complete {
			state = "damaged"
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "member %q archive %d+%d %s %.8s\n", m.Name, m.pos, m.Size, state, m.SHA256)
		}
	}
	for _, d := range r.damage {
		if err == nil {
			_, err = fmt.Fprintf(w, "damage %v\n", d)
		}
	}
	return err
}
