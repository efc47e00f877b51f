package ticks

import (
	"cmp"
	"slices"
)

// share is what belongs to one peer, or one service, of what was counted.
type share struct{ bytes, again uint64 } // of payload; segments sent again

// cell is a share in one tick.
type cell struct {
	tick uint32
	share
}

// part is all shares of one.
type part struct {
	sum   share
	cells []cell // ascending by tick; a tick without anything has none
}

const (
	// mostParts and mostCells bound what is kept apart, to some 10 MB: a thousand peers that speak in a
	// hundred ticks each. Of those beyond nothing is kept.
	mostParts = 1 << 14
	mostCells = 1 << 18
)

// shares are kept apart by K. The zero value is empty.
type shares[K comparable] struct {
	by   map[K]*part
	n    int // cells of all
	key  K   // that was asked for last
	last *part
}

// add counts a share in a tick.
func (s *shares[K]) add(k K, tick int, n share) {
	p := s.part(k)
	if p == nil {
		return
	}
	p.sum.bytes += n.bytes
	p.sum.again += n.again
	at := len(p.cells)
	if at > 0 && p.cells[at-1].tick >= uint32(tick) {
		at, _ = slices.BinarySearchFunc(p.cells, uint32(tick), func(c cell, t uint32) int { return cmp.Compare(c.tick, t) })
	}
	if at == len(p.cells) || p.cells[at].tick != uint32(tick) {
		if s.n == mostCells {
			return
		}
		s.n++
		p.cells = slices.Insert(p.cells, at, cell{tick: uint32(tick)})
	}
	p.cells[at].bytes += n.bytes
	p.cells[at].again += n.again
}

// part gives the part of one, nil where there is no room for it.
func (s *shares[K]) part(k K) *part {
	if s.last != nil && s.key == k {
		return s.last
	}
	p := s.by[k]
	if p == nil {
		if len(s.by) == mostParts {
			return nil
		}
		if s.by == nil {
			s.by = map[K]*part{}
		}
		p = &part{}
		s.by[k] = p
	}
	s.key, s.last = k, p
	return p
}

// move gives every cell another tick: ticks that become one have theirs added up.
func (s *shares[K]) move(to func(uint32) uint32) {
	s.n = 0
	for _, p := range s.by {
		kept := p.cells[:0]
		for _, c := range p.cells {
			c.tick = to(c.tick)
			if n := len(kept); n > 0 && kept[n-1].tick == c.tick {
				kept[n-1].bytes += c.bytes
				kept[n-1].again += c.again
				continue
			}
			kept = append(kept, c)
		}
		p.cells = kept
		s.n += len(kept)
	}
}

// largest gives the keys with the largest sums, of equal ones the first in order.
func (s *shares[K]) largest(n int, size func(share) uint64, order func(a, b K) int) []K {
	var keys []K
	for k, p := range s.by {
		if size(p.sum) > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b K) int {
		return cmp.Or(cmp.Compare(size(s.by[b].sum), size(s.by[a].sum)), order(a, b))
	})
	return keys[:min(n, len(keys))]
}
