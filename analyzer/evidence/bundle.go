package evidence

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// members says how the bundle's members become evidence; a name that ends in a slash
// stands for a folder. What is not listed is evidence for people and other programs,
// or is read elsewhere: packets.pcapng by the packet pass.
var members = []struct {
	name string
	read func(e *Evidence, name string, text []byte) error
}{
	{member.VitalsName, func(e *Evidence, _ string, text []byte) error {
		return readVitals(text, e.Manifest.Vitals, &e.Columns)
	}},
	{member.ClocksName, func(e *Evidence, _ string, text []byte) (err error) {
		e.Clocks, err = member.ParseClocks(text)
		return err
	}},
	{member.KmsgName, func(e *Evidence, _ string, text []byte) (err error) {
		e.Log, err = member.ParseKmsg(text)
		return err
	}},
	{member.EventsName, func(e *Evidence, _ string, text []byte) (err error) {
		e.Events, err = member.ParseEvents(text)
		addEvents(&e.Columns, e.Events)
		return err
	}},
	{member.LatenciesName, func(e *Evidence, _ string, text []byte) (err error) {
		e.Latencies, err = member.ParseLatencies(text)
		addLatencies(e)
		return err
	}},
	{member.DropsName, func(e *Evidence, _ string, text []byte) (err error) {
		e.Drops, err = member.ParseDrops(text)
		addDrops(e)
		return err
	}},
	{member.QdiscsName, func(e *Evidence, _ string, text []byte) error {
		all, err := member.ParseQdiscs(text)
		addQdiscs(&e.Columns, all)
		return err
	}},
	{member.StatisticsName, func(e *Evidence, _ string, text []byte) error {
		all, err := member.ParseStatistics(text)
		addDrivers(&e.Columns, all)
		return err
	}},
	{member.ConntrackName, func(e *Evidence, _ string, text []byte) error {
		c, err := sumConntrack(text)
		if e.Conntrack == nil { // the summary counts what the dump lacks
			e.Conntrack = c
		}
		return err
	}},
	{member.ConntrackSummaryName, func(e *Evidence, _ string, text []byte) error {
		c, err := member.ParseConntrackSummary(text)
		if err == nil {
			e.Conntrack = c
		}
		return err
	}},
	{member.ProcessesName, func(e *Evidence, _ string, text []byte) (err error) {
		e.Processes, err = member.ParseProcesses(text)
		return err
	}},
	{member.ListenersName, func(e *Evidence, _ string, text []byte) (err error) {
		e.Queues, err = member.ParseQueues(text)
		return err
	}},
	{member.SocketsName, func(e *Evidence, _ string, text []byte) (err error) {
		e.Sockets, err = member.ParseSockets(text)
		return err
	}},
	{member.SnapshotFolder, func(e *Evidence, name string, text []byte) error {
		return readSnapshot(name, text, &e.Columns)
	}},
	{member.SysctlFolder, func(e *Evidence, name string, text []byte) error {
		e.Settings[strings.TrimPrefix(name, member.SysctlFolder)] = member.ParseSysctl(text)
		return nil
	}},
}

// longestText bounds a member that is held in memory as a whole: sockets.jsonl of a
// million sockets has about 500 MB, and no kernel text comes near it.
const longestText = 512 << 20

// mostGrown bounds what is set aside for a member because of the size that it claims.
const mostGrown = 64 << 20

// readBundle reads every member but the packets. A member that is not whole gives what
// can be read of it. Parsers keep nothing of the text, so that one buffer serves all.
func (e *Evidence) readBundle(r *format.Reader) {
	e.Manifest = r.Manifest
	e.Settings = Settings{}
	e.Damage = r.Damage()
	var text bytes.Buffer
	_ = r.Walk(func(m format.Member, content io.Reader) error { // our function gives no error
		read := readerFor(m.Name)
		if read == nil {
			return nil
		}
		text.Reset()
		text.Grow(int(min(m.Size+bytes.MinRead, mostGrown)))
		n, err := text.ReadFrom(io.LimitReader(content, longestText)) // checks the sum at the end
		whole := text.Bytes()
		if err != nil {
			e.Damage = append(e.Damage, err)
			whole = wholeLines(whole)
		}
		if n == longestText {
			e.Partial.add(m.Name, fmt.Errorf("longer than %d bytes, the rest is not read", longestText))
		}
		if err := read(e, m.Name, whole); err != nil {
			e.Partial.add(m.Name, err)
		}
		return nil
	})
	e.Columns.Finish()
}

// readerFor gives the function that reads a member, nil where none does.
func readerFor(name string) func(e *Evidence, name string, text []byte) error {
	for _, m := range members {
		if name == m.name || strings.HasSuffix(m.name, "/") && strings.HasPrefix(name, m.name) {
			return m.read
		}
	}
	return nil
}

// wholeLines cuts off a last line that has no end.
func wholeLines(text []byte) []byte {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '\n' {
			return text[:i+1]
		}
	}
	return nil
}
