package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/listing"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

// putPacket takes a packet; it is valid during the call.
type putPacket = func(rec *packet.Record, iface *packet.Interface) error

// ends is a connection by its two ends, while it was there; a zero time bounds nothing.
type ends struct {
	a, b     netip.AddrPort
	from, to int64 // Unix ns
}

// has says whether a packet is of the connection, or an ICMP error about it.
func (c *ends) has(p *packet.Packet) bool {
	if c.to != 0 && (p.Time < c.from || p.Time > c.to) {
		return false
	}
	src, dst := p.SrcAddrPort(), p.DstAddrPort()
	if p.Quoted.Proto != 0 {
		q := &p.Quoted
		src, dst = netip.AddrPortFrom(q.Src.Netip(p.V6), q.SrcPort), netip.AddrPortFrom(q.Dst.Netip(p.V6), q.DstPort)
	}
	return src == c.a && dst == c.b || src == c.b && dst == c.a
}

// choice says which packets are wanted: those that all of its parts let through.
type choice struct {
	frames []uint                        // any of them; nil: all
	ends   []ends                        // of any of them; nil: all
	near   func(day time.Time) time.Time // within of it; nil: always
	within time.Duration
	day    time.Time // of the packets; zero until the first
}

// has says whether a packet is wanted.
func (c *choice) has(rec *packet.Record) bool {
	if c.day.IsZero() {
		c.day = evidence.Unix(rec.Time)
	}
	if c.frames != nil && !slices.Contains(c.frames, uint(rec.Frame)) {
		return false
	}
	if c.near != nil && c.near(c.day).Sub(evidence.Unix(rec.Time)).Abs() > c.within {
		return false
	}
	return c.ends == nil || slices.ContainsFunc(c.ends, func(e ends) bool { return e.has(&rec.Packet) })
}

// openRecords opens the packets of a bundle or a capture.
func openRecords(path string) (*evidence.Records, error) {
	r, err := evidence.OpenRecords(path, evidence.Options{})
	switch lost, is := errors.AsType[*evidence.LostPacketsError](err); {
	case is:
		_ = damaged(lost.Damage) // which says it
		return nil, &cli.Coded{Code: cli.Damaged, Err: err}
	case errors.Is(err, evidence.ErrNoPackets):
		return nil, &cli.Coded{Code: cli.Missing, Err: err, Hint: "spikebox inspect says why"}
	case err != nil:
		return nil, opened([]string{path}, anyInput, err)
	}
	return r, nil
}

// each calls put for every packet that is wanted, to the end of the input.
func (c *choice) each(ctx context.Context, in *evidence.Records, put putPacket) error {
	var rec packet.Record
	var ifaces []packet.Interface
	var lost *packet.DamageError
	found, first := false, int64(0)
	for {
		err := in.Next(&rec)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == io.EOF || errors.As(err, &lost) {
			break
		}
		if first == 0 {
			first = rec.Time
		}
		if !c.has(&rec) {
			continue
		}
		if int(rec.Interface) >= len(ifaces) {
			ifaces = in.Interfaces()
		}
		found = true
		if err := put(&rec, &ifaces[rec.Interface]); err != nil {
			return err
		}
	}
	if err := damaged(in.Damage()); err != nil {
		return err
	}
	switch {
	case lost != nil:
		cli.Warn("spikebox: damaged: %v", lost)
		return &cli.Coded{Code: cli.Missing}
	case !found:
		// Silence would read as calm in a script whose choice is misspelt.
		none := fmt.Errorf("none of %d packets is wanted", rec.Frame)
		if first == 0 {
			return none
		}
		const layout = "2006-01-02T15:04:05.000Z"
		return &cli.Coded{Code: cli.Failed, Err: none, Hint: fmt.Sprintf("they are from %s to %s", evidence.Unix(first).Format(layout), evidence.Unix(rec.Time).Format("15:04:05.000Z"))}
	}
	return nil
}

// findingEnds finds the example connections of a check's findings, by an analysis of its own.
func findingEnds(path, id string) (all []ends, err error) {
	if check.Find(id) == nil {
		return nil, noCheck(id)
	}
	doc, err := analyzer.Run([]string{path}, evidence.Options{})
	if err != nil {
		return nil, opened([]string{path}, anyInput, err)
	}
	found, others := false, []string{}
	for _, finding := range doc.Findings {
		if finding.ID != id {
			if len(finding.Flows) > 0 && !slices.Contains(others, finding.ID) {
				others = append(others, finding.ID)
			}
			continue
		}
		found = true
		for _, fl := range finding.Flows {
			all = append(all, ends{a: netip.AddrPortFrom(fl.Client, fl.ClientPort), b: netip.AddrPortFrom(fl.Server, fl.ServerPort)})
		}
	}
	hint := "--around and --flow choose by time and connection"
	if len(others) > 0 {
		hint += "; these findings show connections: " + strings.Join(others, ", ")
	}
	switch {
	case !found:
		return nil, &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("no finding %s in %s", id, path), Hint: hint}
	case len(all) == 0:
		return nil, &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("the finding %s shows no connections", id), Hint: hint}
	}
	return all, nil
}

// flowEnds finds the connections of a name, each with the time in which it was there: numbers mean one
// of several that used the same ends.
func flowEnds(path, name string) (all []ends, err error) {
	meant, err := listing.Which(name)
	if err != nil {
		return nil, &cli.Coded{Code: cli.Usage, Err: err}
	}
	e, err := readFlows([]string{path}, evidence.Options{Flow: func(fl *flow.Flow) {
		if meant(fl) {
			all = append(all, ends{fl.Client, fl.Server, fl.First, fl.Last})
		}
	}})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, noConnection(e, name)
	}
	return all, nil
}

// noConnection says that a connection is not in the input, or may be in what is lost of it.
func noConnection(e *evidence.Evidence, name string) error {
	none := &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("no connection %s in the input", name), Hint: "spikebox flows lists them with their numbers"}
	var lost *cli.Coded
	if errors.As(whole(e), &lost) {
		none.Code = lost.Code
	}
	return none
}
