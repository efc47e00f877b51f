//go:build linux

package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/ethtool"
	"github.com/spikebox/spikebox/recorder/internal/rtnl"
)

// ethtoolMost bounds the interfaces that are asked: each question holds the kernel's one
// lock for all of network configuration, and a slow driver holds it for milliseconds.
const ethtoolMost = 64

var nics = &OneOff{
	Name:      "ethtool",
	Doc:       "drivers, links, rings, channels, coalescing, offloads and statistics of interfaces",
	Limit:     10 * time.Second,
	AtTrigger: true,
	Collect:   collectEthtool,
}

// collectEthtool reads the statistics first, close to the moment, and at the end the
// settings too.
func collectEthtool(ctx context.Context, env Env, sink *Sink) error {
	all, err := ethtoolLinks(sink)
	if err != nil {
		return err
	}
	conn, err := ethtool.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	out, err := newLines[member.Statistics](sink, member.StatisticsName, ethtoolMost)
	if err != nil {
		return err
	}
	for _, l := range all {
		if stats, err := conn.Statistics(l.Name); err == nil && len(stats) > 0 && out.room() && ctx.Err() == nil {
			out.write(&member.Statistics{At: env.At, Time: env.now(), Interface: l.Name, Statistics: stats})
		}
	}
	if err := errors.Join(out.close(), ctx.Err()); err != nil || env.At == member.AtTrigger {
		return err
	}
	// At the trigger the settings are not asked for: they do not change within a window, and
	// each question holds the lock (see ethtoolMost).
	for _, l := range all {
		text, err := settings(conn, &l).Append(nil)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("ask driver of %s: %w", l.Name, err)
		}
		sink.Add(member.NICName(l.Name, l.Index), text)
	}
	return nil
}

// ethtoolLinks gives the interfaces to ask: hardware before what is made of software.
func ethtoolLinks(sink *Sink) ([]member.Link, error) {
	var all []member.Link
	err := rtnl.Links(func(l *member.Link) bool {
		if !slices.Contains(l.Flags, "LOOPBACK") {
			all = append(all, member.Link{Name: l.Name, Index: l.Index, Kind: l.Kind})
		}
		return true
	})
	if err = sink.interrupted(err); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b member.Link) int {
		return cmp.Or(cmp.Compare(min(1, len(a.Kind)), min(1, len(b.Kind))), cmp.Compare(a.Index, b.Index))
	})
	if len(all) > ethtoolMost {
		sink.Lost, sink.Unit = uint64(len(all)-ethtoolMost), "interfaces"
		sink.Partial = fmt.Sprintf("only the first %d interfaces were asked, hardware first", ethtoolMost)
		all = all[:ethtoolMost]
	}
	return all, nil
}

func settings(conn *ethtool.Conn, l *member.Link) *member.NIC {
	n := &member.NIC{Interface: l.Name, Index: l.Index, Errors: map[string]string{}}
	var err error
	n.Driver, err = conn.Driver(l.Name)
	note(n, "driver", err)
	n.Link, err = conn.Link(l.Name)
	note(n, "link", err)
	for _, q := range []struct {
		ethtool.Question
		answer *map[string]uint32
	}{
		{ethtool.Ring, &n.Ring},
		{ethtool.Channels, &n.Channels},
		{ethtool.Coalesce, &n.Coalesce},
		{ethtool.Pause, &n.Pause},
	} {
		*q.answer, err = conn.Numbers(l.Name, q.Question)
		note(n, q.Name, err)
	}
	n.Features, err = conn.Features(l.Name)
	note(n, "features", err)
	return n
}

func note(n *member.NIC, question string, err error) {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		n.Unsupported = append(n.Unsupported, question)
	case err != nil:
		n.Errors[question] = err.Error()
	}
}
