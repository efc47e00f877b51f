package evidence

import (
	"io"

	"github.com/spikebox/spikebox/format/member"
)

// mostTable bounds the lines that are kept of one table; the recorder writes 10,000.
const mostTable = 10_000

// readRoutes keeps the routing tables.
func (e *Evidence) readRoutes(_ string, r io.Reader) (err error) {
	e.Routes, err = table(e, r, member.ParseRoutes)
	return err
}

// readNeighbours keeps the neighbour tables.
func (e *Evidence) readNeighbours(_ string, r io.Reader) (err error) {
	e.Neighbours, err = table(e, r, member.ParseNeighbours)
	return err
}

// table reads one, never nil where it was there.
func table[T any](e *Evidence, r io.Reader, parse func([]byte) ([]T, error)) ([]T, error) {
	text, err := e.whole(r)
	if text == nil && err != nil {
		return nil, err
	}
	rows, wrong := parse(text)
	if wrong != nil {
		err = wrong
	}
	return append([]T{}, rows[:min(len(rows), mostTable)]...), err
}
