//go:build linux

package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

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

// netlinkSummary is static/netlink/summary.json: exact counts, also of what was cut.
type netlinkSummary struct {
	Links      uint64                       `json:"links"`
	Addresses  uint64                       `json:"addresses"`
	Routes     map[string]uint64            `json:"routes"` // by family
	Rules      uint64                       `json:"rules"`
	Neighbours map[string]map[string]uint64 `json:"neighbours"` // by family and state
}

// linkTables writes one member after the other.
type linkTables struct {
	ctx     context.Context
	sink    *Sink
	names   map[uint32]string
	summary netlinkSummary
	cut     []string
}

// What is about an interface has its name first.
type (
	addressLine struct {
		Interface string `json:"interface,omitempty"`
		*rtnl.Address
	}
	routeLine struct {
		Interface string `json:"interface,omitempty"`
		*rtnl.Route
	}
	neighbourLine struct {
		Interface string `json:"interface,omitempty"`
		*rtnl.Neighbour
	}
)

func collectLinks(ctx context.Context, _ Env, sink *Sink) error {
	t := &linkTables{ctx: ctx, sink: sink, names: map[uint32]string{}, summary: netlinkSummary{
		Routes: map[string]uint64{}, Neighbours: map[string]map[string]uint64{},
	}}
	for _, table := range []struct {
		name string
		dump func(*lines) error
	}{
		{"links", t.links},
		{"addresses", t.addresses},
		{"routes", t.routes},
		{"rules", t.rules},
		{"neighbours", t.neighbours},
	} {
		if err := t.write(table.name, table.dump); err != nil {
			return err
		}
	}
	if len(t.cut) > 0 {
		sink.Unit, sink.Partial = "lines", fmt.Sprintf("only the first %d were kept of %s; the summary counts all", linesMost, strings.Join(t.cut, ", "))
	}
	summary, err := json.MarshalIndent(t.summary, "", "  ")
	if err != nil {
		return fmt.Errorf("encode summary of links: %w", err)
	}
	sink.Add("static/netlink/summary.json", append(summary, '\n'))
	return nil
}

func (t *linkTables) write(name string, dump func(*lines) error) error {
	out, err := t.sink.lines("static/netlink/"+name+".jsonl", linesMost)
	if err != nil {
		return err
	}
	if err := t.sink.interrupted(dump(out)); err != nil {
		return err
	}
	if out.lost() > 0 {
		t.sink.Lost += out.lost()
		t.cut = append(t.cut, name)
	}
	return errors.Join(out.close(), t.ctx.Err())
}

func (t *linkTables) links(out *lines) error {
	defer func() { t.summary.Links = out.n }()
	return rtnl.Links(func(l *rtnl.Link) bool {
		t.names[l.Index] = l.Name
		if out.room() {
			out.write(l)
		}
		return t.ctx.Err() == nil
	})
}

func (t *linkTables) addresses(out *lines) error {
	defer func() { t.summary.Addresses = out.n }()
	return t.each(func(family uint8) error {
		return rtnl.Addresses(family, func(a *rtnl.Address) bool {
			if out.room() {
				out.write(addressLine{t.names[a.Index], a})
			}
			return t.ctx.Err() == nil
		})
	})
}

func (t *linkTables) routes(out *lines) error {
	return t.each(func(family uint8) error {
		before := out.n
		defer func() { t.summary.Routes[rtnl.FamilyName(family)] = out.n - before }()
		return rtnl.Routes(family, func(decode func() *rtnl.Route) bool {
			if out.room() {
				r := decode()
				out.write(routeLine{t.names[r.Index], r})
			}
			return t.ctx.Err() == nil
		})
	})
}

func (t *linkTables) rules(out *lines) error {
	defer func() { t.summary.Rules = out.n }()
	return t.each(func(family uint8) error {
		err := rtnl.Rules(family, func(r *rtnl.Rule) bool {
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

func (t *linkTables) neighbours(out *lines) error {
	return t.each(func(family uint8) error {
		states := map[string]uint64{}
		t.summary.Neighbours[rtnl.FamilyName(family)] = states
		return rtnl.Neighbours(family, func(n *rtnl.Neighbour) bool {
			states[n.State]++
			if out.room() {
				out.write(neighbourLine{t.names[n.Index], n})
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
