//go:build linux

package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

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

// statisticsLine is one line of static/ethtool/statistics.jsonl.
type statisticsLine struct {
	At         string            `json:"at"`
	Time       int64             `json:"time"`
	Interface  string            `json:"interface"`
	Statistics map[string]uint64 `json:"statistics"`
}

// nic is static/ethtool/<interface>.json. A question that the driver does not know is in
// Unsupported, one that went wrong in Errors.
type nic struct {
	Interface   string            `json:"interface"`
	Index       uint32            `json:"ifindex"`
	Driver      *ethtool.Driver   `json:"driver,omitempty"`
	Link        *ethtool.Link     `json:"link,omitempty"`
	Ring        map[string]uint32 `json:"ring,omitempty"`
	Channels    map[string]uint32 `json:"channels,omitempty"`
	Coalesce    map[string]uint32 `json:"coalesce,omitempty"`
	Pause       map[string]uint32 `json:"pause,omitempty"`
	Features    map[string]string `json:"features,omitempty"`
	Unsupported []string          `json:"unsupported,omitempty"`
	Errors      map[string]string `json:"errors,omitempty"`
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
	out, err := sink.lines("static/ethtool/statistics.jsonl", ethtoolMost)
	if err != nil {
		return err
	}
	for _, l := range all {
		if stats, err := conn.Statistics(l.Name); err == nil && len(stats) > 0 && out.room() && ctx.Err() == nil {
			out.write(statisticsLine{env.At, time.Now().UnixNano(), l.Name, stats})
		}
	}
	if err := errors.Join(out.close(), ctx.Err()); err != nil || env.At == AtTrigger {
		return err
	}
	for _, l := range all {
		text, err := json.MarshalIndent(settings(conn, &l), "", "  ")
		if err := errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("ask driver of %s: %w", l.Name, err)
		}
		sink.Add("static/ethtool/"+fileName(l.Name, l.Index)+".json", append(text, '\n'))
	}
	return nil
}

// ethtoolLinks gives the interfaces to ask: hardware before what is made of software.
func ethtoolLinks(sink *Sink) ([]rtnl.Link, error) {
	var all []rtnl.Link
	err := rtnl.Links(func(l *rtnl.Link) bool {
		if !slices.Contains(l.Flags, "LOOPBACK") {
			all = append(all, rtnl.Link{Name: l.Name, Index: l.Index, Kind: l.Kind})
		}
		return true
	})
	if err = sink.interrupted(err); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b rtnl.Link) int {
		return cmp.Or(cmp.Compare(min(1, len(a.Kind)), min(1, len(b.Kind))), cmp.Compare(a.Index, b.Index))
	})
	if len(all) > ethtoolMost {
		sink.Lost, sink.Unit = uint64(len(all)-ethtoolMost), "interfaces"
		sink.Partial = fmt.Sprintf("only the first %d interfaces were asked, hardware first", ethtoolMost)
		all = all[:ethtoolMost]
	}
	return all, nil
}

func settings(conn *ethtool.Conn, l *rtnl.Link) *nic {
	n := &nic{Interface: l.Name, Index: l.Index, Errors: map[string]string{}}
	var err error
	n.Driver, err = conn.Driver(l.Name)
	n.note("driver", err)
	n.Link, err = conn.Link(l.Name)
	n.note("link", err)
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
		n.note(q.Name, err)
	}
	n.Features, err = conn.Features(l.Name)
	n.note("features", err)
	return n
}

func (n *nic) note(question string, err error) {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		n.Unsupported = append(n.Unsupported, question)
	case err != nil:
		n.Errors[question] = err.Error()
	}
}

// fileName makes the name of an interface, which may hold almost any byte but a slash, one
// that is safe in a bundle and on every system. What had to be changed gets its number, so
// that no two are the same.
func fileName(name string, index uint32) string {
	safe := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '@' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, name)
	if safe != name || strings.Trim(safe, ".") == "" {
		return fmt.Sprintf("%s~%d", safe, index)
	}
	return safe
}
