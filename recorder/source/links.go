//go:build linux

package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/rtnl"
)

// linesMost bounds each member of this source: a router has a million routes, and a
// neighbour cache that overflows has all that its thresholds allow.
const linesMost = 10_000

var links = &OneOff{
	Name:    "links",
	Doc:     "links, addresses, routes, rules and neighbours by netlink",
	Limit:   8 * time.Second,
	Collect: collectLinks,
}

// linkTables writes one member after the other.
type linkTables struct {
	ctx     context.Context
	sink    *Sink
	names   map[uint32]string
	summary member.NetlinkSummary
	cut     []string
}

func collectLinks(ctx context.Context, _ Env, sink *Sink) error {
	t := &linkTables{ctx: ctx, sink: sink, names: map[uint32]string{}, summary: member.NetlinkSummary{
		Routes: map[string]uint64{}, Neighbours: map[string]map[string]uint64{},
	}}
	for _, write := range []func() error{
		func() error { return writeTable(t, "links", member.LinksName, t.links) },
		func() error { return writeTable(t, "addresses", member.AddressesName, t.addresses) },
		func() error { return writeTable(t, "routes", member.RoutesName, t.routes) },
		func() error { return writeTable(t, "rules", member.RulesName, t.rules) },
		func() error { return writeTable(t, "neighbours", member.NeighboursName, t.neighbours) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	if len(t.cut) > 0 {
		sink.Unit, sink.Partial = "lines", fmt.Sprintf("only the first %d were kept of %s; the summary counts all", linesMost, strings.Join(t.cut, ", "))
	}
	summary, err := t.summary.Append(nil)
	if err != nil {
		return fmt.Errorf("encode summary of links: %w", err)
	}
	sink.Add(member.NetlinkSummaryName, summary)
	return nil
}

// writeTable writes one table as a member; what is its name for people.
func writeTable[T any](t *linkTables, what, name string, dump func(*lines[T]) error) error {
	out, err := newLines[T](t.sink, name, linesMost)
	if err != nil {
		return err
	}
	if err := t.sink.interrupted(dump(out)); err != nil {
		return err
	}
	if out.lost() > 0 {
		t.sink.Lost += out.lost()
		t.cut = append(t.cut, what)
	}
	return errors.Join(out.close(), t.ctx.Err())
}

func (t *linkTables) links(out *lines[member.Link]) error {
	defer func() { t.summary.Links = out.n }()
	return rtnl.Links(func(l *member.Link) bool {
		t.names[l.Index] = l.Name
		if out.room() {
			out.write(l)
		}
		return t.ctx.Err() == nil
	})
}

func (t *linkTables) addresses(out *lines[member.Address]) error {
	defer func() { t.summary.Addresses = out.n }()
	return t.each(func(family uint8) error {
		return rtnl.Addresses(family, func(a *member.Address) bool {
			if out.room() {
				a.Interface = t.names[a.Index]
				out.write(a)
			}
			return t.ctx.Err() == nil
		})
	})
}

func (t *linkTables) routes(out *lines[member.Route]) error {
	return t.each(func(family uint8) error {
		before := out.n
		defer func() { t.summary.Routes[rtnl.FamilyName(family)] = out.n - before }()
		return rtnl.Routes(family, func(decode func() *member.Route) bool {
			if out.room() {
				r := decode()
				r.Interface = t.names[r.Index]
				out.write(r)
			}
			return t.ctx.Err() == nil
		})
	})
}

func (t *linkTables) rules(out *lines[member.Rule]) error {
	defer func() { t.summary.Rules = out.n }()
	return t.each(func(family uint8) error {
		err := rtnl.Rules(family, func(r *member.Rule) bool {
			if out.room() {
				out.write(r)
			}
			return t.ctx.Err() == nil
		})
		if errors.Is(err, unix.EOPNOTSUPP) {
			return nil // without CONFIG_IP_MULTIPLE_TABLES there are no rules
		}
		return err
	})
}

func (t *linkTables) neighbours(out *lines[member.Neighbour]) error {
	return t.each(func(family uint8) error {
		states := map[string]uint64{}
		t.summary.Neighbours[rtnl.FamilyName(family)] = states
		return rtnl.Neighbours(family, func(n *member.Neighbour) bool {
			states[n.State]++
			if out.room() {
				n.Interface = t.names[n.Index]
				out.write(n)
			}
			return t.ctx.Err() == nil
		})
	})
}

// each dumps both families; one that changed meanwhile does not keep the other away.
func (t *linkTables) each(dump func(family uint8) error) error {
	for _, family := range rtnl.Families {
		if err := t.sink.interrupted(dump(family)); err != nil {
			return err
		}
	}
	return nil
}
