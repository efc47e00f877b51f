package evidence

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/format"
)

// Records are the packets of one bundle or capture, one by one and with their bytes.
type Records struct {
	*packet.Records
	Manifest *format.Manifest // nil for a capture
	in       *inputs
}

// LostPacketsError says that what is left of a damaged bundle holds no packets: whether the bundle did, nobody knows.
type LostPacketsError struct {
	Path   string
	Damage []error
}

func (e *LostPacketsError) Error() string {
	return fmt.Sprintf("open %s: what is left of the bundle holds no packets", e.Path)
}

// Is makes it ErrNoPackets, too.
func (e *LostPacketsError) Is(target error) bool { return target == ErrNoPackets }

// OpenRecords opens them. The error is ErrNoPackets where the bundle holds none, and a *LostPacketsError where it is damaged.
func OpenRecords(path string, opts Options) (*Records, error) {
	in, err := openInputs([]string{path}, opts)
	if err != nil {
		return nil, err
	}
	r := &Records{in: in}
	if in.bundle != nil {
		r.Manifest = in.bundle.Manifest
	}
	if len(in.captures) == 0 {
		lost := in.bundle.Damage()
		in.close()
		if len(lost) > 0 {
			return nil, &LostPacketsError{Path: path, Damage: lost}
		}
		return nil, fmt.Errorf("open %s: %w", path, ErrNoPackets)
	}
	if r.Records, err = packet.OpenRecords(in.captures[0].Input); err != nil {
		in.close()
		return nil, err
	}
	return r, nil
}

// Damage says what the bundle has lost, by the packets that have been read.
func (r *Records) Damage() (all []error) {
	if r.in.bundle == nil {
		return nil
	}
	all = r.in.bundle.Damage()
	if broken := r.in.broken(); broken != nil {
		all = append(all, broken)
	}
	return all
}

// Close closes the input.
func (r *Records) Close() {
	r.Records.Close()
	r.in.close()
}
