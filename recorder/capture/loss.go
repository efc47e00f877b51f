//go:build linux

package capture

import "time"

// loss is a number of packets dropped until a time and after the reading before it.
type loss struct {
	at    time.Time
	drops uint64
}

// losses remembers when packets were dropped, so that a cut counts those in its window
// and not those of last week. The oldest entries are added up when it is full.
type losses []loss

// maxLosses keeps an hour of continuous loss at one reading a second.
const maxLosses = 3600

// add notes how many packets were dropped until a time.
func (l *losses) add(at time.Time, drops uint64) {
	if drops == 0 {
		return
	}
	*l = append(*l, loss{at, drops})
	if len(*l) > maxLosses {
		(*l)[1].drops += (*l)[0].drops
		*l = (*l)[1:]
	}
}

// since counts the losses that were read after from.
func (l losses) since(from time.Time) uint64 {
	var n uint64
	for _, e := range l {
		if e.at.After(from) {
			n += e.drops
		}
	}
	return n
}
