//go:build linux

package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
	"github.com/spikebox/spikebox/recorder/internal/rtnl"
)

// qdiscMost bounds the lines of one reading: a host with 1,000 interfaces has some 2,000
// disciplines, one with many queues and classes some 10,000.
const qdiscMost = 20_000

var qdiscs = &OneOff{
	Name:      "qdisc",
	Doc:       "counters of queue disciplines and classes by netlink",
	Limit:     5 * time.Second,
	AtTrigger: true,
	Collect:   collectQdiscs,
}

func collectQdiscs(ctx context.Context, env Env, sink *Sink) error {
	names, err := rtnl.Names()
	if err != nil && !errors.Is(err, nldump.ErrInterrupted) {
		return err
	}
	out, err := newLines[member.Qdisc](sink, member.QdiscsName, qdiscMost)
	if err != nil {
		return err
	}
	now := env.now() // one for all lines: those of one time are one reading
	keep := func(q *member.Qdisc) bool {
		if out.room() {
			q.At, q.Time, q.Interface = env.At, now, names[q.Index]
			out.write(q)
		}
		return ctx.Err() == nil
	}
	var classful []uint32
	err = rtnl.Qdiscs(func(q *member.Qdisc) bool {
		if rtnl.HasClasses(q) && !slices.Contains(classful, q.Index) {
			classful = append(classful, q.Index)
		}
		return keep(q)
	})
	if err = sink.interrupted(err); err != nil {
		return err
	}
	for _, index := range classful {
		if err := sink.interrupted(rtnl.Classes(index, keep)); err != nil {
			return err
		}
	}
	if sink.Lost = out.lost(); sink.Lost > 0 {
		sink.Unit, sink.Partial = "disciplines", fmt.Sprintf("only the first %d were kept", qdiscMost)
	}
	return errors.Join(out.close(), ctx.Err())
}

// interrupted takes a table that changed while it was dumped for a reason to be partial,
// not for a failure.
func (s *Sink) interrupted(err error) error {
	if errors.Is(err, nldump.ErrInterrupted) {
		s.Partial = err.Error()
		return nil
	}
	return err
}
