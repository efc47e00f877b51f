package format

import "fmt"

// Limits bound what a Reader takes from a bundle that may be hostile. They
// bound time and disk; memory is bounded apart from them, since content is
// streamed (SPEC.md, "Limits"). A field that is 0 means the default.
type Limits struct {
	MaxTotal   int64 // bytes of the whole archive, decompressed
	MaxMember  int64 // bytes of one member
	MaxMembers int   // number of members
	MaxRatio   int64 // decompressed bytes per byte of the file
}

// DefaultLimits are far above what the recorder writes with the largest rings
// that make sense, and low enough that no file keeps a reader busy for long.
var DefaultLimits = Limits{
	// 16 GiB decode in about 20 s on one core. A ring of 1 GiB and five
	// minutes of snapshots of a large host are under 2 GiB.
	MaxTotal: 16 << 30,
	// Half of it: the packets are by far the largest member.
	MaxMember: 8 << 30,
	// Five minutes of snapshots of 50 files each are 16,000 members; a host
	// with 1000 interfaces comes to 100,000. 250,000 cost about 60 MB here.
	MaxMembers: 250_000,
	// Snapshots that hardly differ reach 200; zstd's own bound is about 30,000.
	MaxRatio: 1000,
}

// ratioFloor is the content up to which no ratio is looked at: that much is
// decoded in a blink, and a short file of zeros is no bomb.
const ratioFloor = 64 << 20

// LimitError says that a bundle is beyond a limit.
type LimitError struct {
	What  string // bytes of content, bytes of content per byte of the file, members, frames …
	Limit int64
}

// Error names the limit. Whoever trusts the bundle can raise it.
func (e *LimitError) Error() string {
	return fmt.Sprintf("read bundle: it has more than %d %s", e.Limit, e.What)
}

// orDefault fills in the defaults for what is not set.
func (l Limits) orDefault() Limits {
	fill := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	fill(&l.MaxTotal, DefaultLimits.MaxTotal)
	fill(&l.MaxMember, DefaultLimits.MaxMember)
	fill(&l.MaxRatio, DefaultLimits.MaxRatio)
	if l.MaxMembers <= 0 {
		l.MaxMembers = DefaultLimits.MaxMembers
	}
	return l
}

// content says whether raw bytes may come out of a file of size bytes.
func (l Limits) content(raw, size int64) error {
	if raw > l.MaxTotal {
		return &LimitError{What: "bytes of content", Limit: l.MaxTotal}
	}
	if raw > ratioFloor && raw/l.MaxRatio > size {
		return &LimitError{What: "bytes of content per byte of the file", Limit: l.MaxRatio}
	}
	return nil
}
