//go:build linux

package freeze

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/source"
)

// content is a bundle before it is written: all that was collected, which may be written
// several times, to one folder or another, as a whole or less.
type content struct {
	name     string
	manifest format.Manifest
	at       time.Time // of the trigger
	plain    []*source.Member
	told     []source.Result // by the probes
	results  []source.Result // of the one-off sources
	packets  *spool          // nil where they could not be recorded, or were lost
	spend    bool            // the spool gives its room on the disk to the bundle as that is written
	lost     error           // why there are no packets
	// snapshots calls f for each text with the name of its member; textBytes is what they
	// take compressed.
	snapshots func(f func(at time.Time, name string, text []byte) error) error
	textBytes int64
	trimmed   []*source.Member // those of the smallest bundle, made when it is asked for
	cut       map[string]bool  // those of trimmed that have lost lines
}

// size is about what an extent takes of the disk. What it leaves out of account are the
// headers and sums, of which there are a few dozen bytes for each member.
func (c *content) size(x extent) (int64, error) {
	size := int64(0)
	if x < noPackets {
		_, packets, err := c.packetSize(x)
		if err != nil {
			return 0, err
		}
		size += packets
	}
	switch {
	case x < fewSnapshots:
		size += c.textBytes
	case x == fewSnapshots:
		// Compressed against predecessors that are ten times as far away: not a tenth.
		size += c.textBytes / snapshotsKept * 2
	default:
		return 0, nil // bounded by itself
	}
	for _, r := range slices.Concat(c.told, c.results) {
		for _, m := range r.Sink.Members {
			size += m.Held()
		}
	}
	return size, nil
}

func (c *content) packetSize(x extent) (content, compressed int64, err error) {
	if c.packets == nil {
		return 0, 0, c.lost
	}
	return c.packets.size(x)
}

// count is the number of packets that an extent has.
func (c *content) count(x extent) uint64 {
	switch {
	case c.packets == nil:
		return 0
	case x == whole:
		return c.packets.packets
	case x == nearPackets:
		return c.packets.nearPackets
	}
	return 0
}

// manifestOf is the manifest of an extent.
func (c *content) manifestOf(x extent, why string) *format.Manifest {
	m := c.manifest
	if x == smallest {
		c.trim()
	}
	x.narrow(&m, why, c.cut)
	if x == nearPackets {
		for i := range m.Sources {
			if s := &m.Sources[i]; slices.Contains(s.Members, member.PacketsName) {
				s.Lost, s.Unit = s.Lost+c.packets.packets-c.packets.nearPackets, "packets"
			}
		}
	}
	return &m
}

// write writes the members in the order of format/SPEC.md: small and telling ones first,
// so that a truncated copy is still worth having.
func (c *content) write(ctx context.Context, w *format.Writer, x extent, m *format.Manifest) error {
	// A frame is what a reader can jump to, and what damage costs: each begins where
	// something that is read alone begins.
	steps := []func() error{func() error { return w.Manifest(m) }}
	if x == smallest {
		steps = append(steps, func() error { return each(w, c.trimmed) })
	} else {
		steps = append(steps,
			func() error { return each(w, c.plain) },
			w.NewFrame,
			func() error { return members(w, c.told, "") },
			w.NewFrame,
			func() error { return members(w, c.results, member.SocketsName) },
			func() error { return members(w, c.results, member.ProcessesName) },
			w.NewFrame,
			func() error { return members(w, c.results, member.ConntrackName) },
			func() error { return members(w, c.results, member.ConntrackSummaryName) },
			w.NewFrame,
			func() error { return members(w, c.results, member.StaticFolder) },
			w.NewFrame,
			func() error { return c.writeSnapshots(w, x) },
			w.NewFrame,
			func() error { return c.writePackets(w, x) },
		)
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *content) writePackets(w *format.Writer, x extent) error {
	if x >= noPackets || c.packets == nil && c.lost == nil {
		return nil
	}
	size, _, err := c.packetSize(x)
	if err != nil {
		return err
	}
	return w.AddSized(member.PacketsName, size, func(to io.Writer) error { return c.packets.writeTo(to, x, c.spend) })
}

func (c *content) writeSnapshots(w *format.Writer, x extent) error {
	n, last := 0, time.Time{}
	return c.snapshots(func(at time.Time, name string, text []byte) error {
		if !at.Equal(last) {
			n, last = n+1, at
		}
		if x >= fewSnapshots && n%snapshotsKept != 1 {
			return nil
		}
		return w.Add(name, text)
	})
}

// each writes members as they are.
func each(w *format.Writer, all []*source.Member) error {
	for _, m := range all {
		if err := joined(w, m.Name, []*source.Member{m}); err != nil {
			return err
		}
	}
	return nil
}

// members writes the one-off members whose name begins with a prefix. Those of the same
// name, of a source that was asked at the trigger and at the end, become one.
func members(w *format.Writer, results []source.Result, prefix string) error {
	parts, names := named(results, prefix)
	for _, name := range names {
		if err := joined(w, name, parts[name]); err != nil {
			return err
		}
	}
	return nil
}

// named gives the members whose name begins with a prefix, by their names, and these in
// their order.
func named(results []source.Result, prefix string) (parts map[string][]*source.Member, names []string) {
	parts = map[string][]*source.Member{}
	for _, r := range results {
		for _, m := range r.Sink.Members {
			if !strings.HasPrefix(m.Name, prefix) {
				continue
			}
			if parts[m.Name] == nil {
				names = append(names, m.Name)
			}
			parts[m.Name] = append(parts[m.Name], m)
		}
	}
	return parts, names
}

func joined(w *format.Writer, name string, parts []*source.Member) error {
	var size int64
	for _, m := range parts {
		size += m.Size
	}
	return w.AddSized(name, size, func(to io.Writer) error {
		for _, m := range parts {
			if _, err := m.WriteTo(to); err != nil {
				return err
			}
		}
		return nil
	})
}

// trim makes the members of the smallest bundle.
func (c *content) trim() {
	if c.trimmed != nil {
		return
	}
	parts, _ := named(slices.Concat(c.told, c.results), "")
	for _, m := range c.plain {
		parts[m.Name] = append(parts[m.Name], m)
	}
	c.cut = map[string]bool{}
	var sink source.Sink
	for _, s := range small {
		text, size := []byte(nil), int64(0)
		for _, m := range parts[s.name] {
			size += m.Size
			text = append(text, read(m, s.name, s.most)...)
		}
		switch s.name {
		case member.SocketsName:
			// Each dump has its listeners first, and the trigger's comes before the end's.
			text = firstLines(text, s.most)
		default:
			header := s.name == member.VitalsName || s.name == member.ListenersName
			text = around(text, c.at, s.most, header)
		}
		c.cut[s.name] = int64(len(text)) < size
		if len(parts[s.name]) > 0 {
			sink.Add(s.name, text)
		}
	}
	c.trimmed = sink.Members
}

// errEnough ends a reading that has what it wants.
var errEnough = errors.New("enough")

// read gives a member's text: of sockets, of which there may be a million, no more than is
// kept. What cannot be read costs itself only.
func read(m *source.Member, name string, most int) []byte {
	if name != member.SocketsName {
		most = int(m.Size)
	}
	var text bytes.Buffer
	_, err := m.WriteTo(writerFunc(func(p []byte) (int, error) {
		if text.Len() >= most {
			return 0, errEnough
		}
		return text.Write(p)
	}))
	if err != nil && !errors.Is(err, errEnough) {
		return nil
	}
	return firstLines(text.Bytes(), most)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
