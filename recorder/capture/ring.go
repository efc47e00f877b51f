//go:build linux

package capture

import (
	"time"

	"github.com/spikebox/spikebox/recorder/host"
)

// ring is the memory into which the kernel records one interface's packets, in blocks of
// which the oldest are filled anew. A Set owns it, and makes one call at a time.
type ring interface {
	way() Way
	why() string // it is not the other, where that was wanted
	linkKind() linkKind
	bytes() int
	// bind starts to record l, again after it was made anew: the history is kept.
	bind(l link) error
	// bound is the index of the interface that is recorded; not positive where none is.
	bound() int
	// unbind stops recording an interface that is not in this namespace any more.
	unbind()
	// advance gives the oldest blocks back to a kernel that waits for them.
	advance()
	// within is how soon it must be called again, whatever wakes; 0: that does not matter.
	within() time.Duration
	// guard keeps what came since a time from being forgotten, until the next call; zero: nothing.
	guard(since time.Time)
	// stuck says whether something would have been forgotten that is guarded: what comes from now on has
	// what is free of the ring, and then none.
	stuck() bool
	// collect adds up the kernel's counters.
	collect(now time.Time)
	counted() *tally
	// room is how many bytes of blocks have been filled since it was opened, and how many a cut holds at most.
	room() (filled uint64, held int)
	history() *history // nil: nothing is packed
	// reaches is the instant from which on a cut holds everything; zero: all that there was.
	reaches(clock *host.Past) time.Time
	// keep holds what there is from since on (zero: all) until release, and gives it in parts.
	// lo: the copies of leaving packets are left out.
	keep(since time.Time, clock *host.Past, lo bool) []part
	release()
	Close() error
}

// tally is what a ring has counted.
type tally struct {
	stats  Counters
	losses losses
}

func (t *tally) counted() *tally { return t }

// part is what a cut holds of a ring in the order in which it came: all of it, or one CPU's.
type part interface {
	blocks() int
	// ahead is how far a packet may lie behind its place in time.
	ahead() int
	// late says whether packets that had their place at the cut are still being written, and
	// settle leaves them out.
	late() bool
	settle()
	cursor() cursor
	// measure counts its packets, and the bytes that were kept of them.
	measure(kind linkKind) (packets uint64, bytes int64)
	// done lets the ring have those of the part's blocks that come before one.
	done(block int)
}

// cursor goes through a part's packets.
type cursor interface {
	next() (record, bool)
}

// record is one packet of a part.
type record struct {
	at     int64  // Unix ns on the cut's clock
	block  int    // of the part
	data   []byte // what was kept of it, without a stripped VLAN tag
	wire   int    // its length, without that tag
	kind   byte   // PACKET_HOST, PACKET_OUTGOING, …
	tagged bool
	tag    [vlanTag]byte // TPID and TCI as on the wire
}

// frame returns a record as it was on the wire: the tag belongs behind the two addresses.
func (r *record) frame(kind linkKind) (tagged bool) {
	return r.tagged && kind == ethernet && len(r.data) >= 12
}

// kept is how many bytes of it the file has.
func (r *record) kept(kind linkKind) int {
	if r.frame(kind) {
		return len(r.data) + vlanTag
	}
	return len(r.data)
}
