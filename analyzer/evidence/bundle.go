package evidence

import (
	"bytes"
	"cmp"
	"io"
	"strings"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// members says how the bundle's members become evidence; a name that ends in a slash
// stands for a folder. What is not listed is evidence for people and other programs,
// or is read elsewhere: packets.pcapng by the packet pass. Rows are read one by one, so that
// memory grows with what is kept of them and not with the text.
var members = []struct {
	name string
	read func(e *Evidence, name string, r io.Reader) error
}{
	{member.VitalsName, func(e *Evidence, _ string, r io.Reader) error {
		return readVitals(r, e.Manifest.Vitals, &e.Columns)
	}},
	{member.ClocksName, func(e *Evidence, _ string, r io.Reader) error {
		text, err := e.whole(r)
		if err != nil {
			return err
		}
		e.Clocks, err = member.ParseClocks(text)
		return err
	}},
	{member.KmsgName, func(e *Evidence, _ string, r io.Reader) error {
		k := rows[member.LogLine]{room: roomLog}
		return k.cut(member.EachLogLine(r, func(l *member.LogLine) { k.keep(&e.Log, l, textSize(l.Text)) }))
	}},
	{member.EventsName, (*Evidence).readEvents},
	{member.LatenciesName, (*Evidence).readLatencies},
	{member.DropsName, (*Evidence).readDrops},
	{member.StacksName, (*Evidence).readStacks},
	{member.QdiscsName, func(e *Evidence, _ string, r io.Reader) error { return readQdiscs(r, &e.Columns) }},
	{member.StatisticsName, func(e *Evidence, _ string, r io.Reader) error { return readDrivers(r, &e.Columns) }},
	{member.ConntrackName, func(e *Evidence, _ string, r io.Reader) error {
		c, err := sumConntrack(r, e.translate)
		if e.Conntrack == nil { // the summary counts what the dump lacks
			e.Conntrack = c
		}
		return err
	}},
	{member.ConntrackSummaryName, func(e *Evidence, _ string, r io.Reader) error {
		text, err := e.whole(r)
		if err != nil {
			return err
		}
		c, err := member.ParseConntrackSummary(text)
		if err == nil {
			e.Conntrack = c
		}
		return err
	}},
	{member.ProcessesName, func(e *Evidence, _ string, r io.Reader) error {
		k := rows[member.ProcessUse]{room: roomProcesses}
		return k.cut(member.EachProcess(r, func(p *member.ProcessUse) {
			k.keep(&e.Processes, p, textSize(p.At, p.Comm, p.State))
		}))
	}},
	{member.ListenersName, func(e *Evidence, _ string, r io.Reader) error {
		k := rows[member.Queue]{room: roomQueues}
		return k.cut(member.EachQueue(r, func(q *member.Queue) { k.keep(&e.Queues, q, 0) }))
	}},
	{member.SocketsName, func(e *Evidence, _ string, r io.Reader) error {
		k := rows[member.Socket]{room: roomSockets}
		return k.cut(member.EachSocket(r, func(s *member.Socket) {
			list := &e.Sockets
			if s.Protocol == member.ProtocolUDP {
				list = &e.UDPSockets
			}
			k.keep(list, s, socketSize(s))
		}))
	}},
	{member.AddressesName, (*Evidence).readAddresses},
	{member.SnapshotFolder, func(e *Evidence, name string, r io.Reader) error {
		text, err := e.whole(r)
		if text == nil && err != nil {
			return err
		}
		e.readBond(name, text)
		return cmp.Or(readSnapshot(name, text, &e.Columns), err)
	}},
	{member.SysctlFolder, (*Evidence).readSetting},
	{sysfsFolder, (*Evidence).readSysfs},
	{member.EthtoolFolder, (*Evidence).readNIC},
	{member.NetfilterName, (*Evidence).readNetfilter},
	{member.RoutesName, (*Evidence).readRoutes},
	{member.NeighboursName, (*Evidence).readNeighbours},
}

// readBundle reads every member but the packets. A member that is not whole gives what
// can be read of it.
func (e *Evidence) readBundle(r *format.Reader) {
	e.Manifest = r.Manifest
	e.Settings = Settings{}
	e.Damage = r.Damage()
	left := int64(mostText)
	_ = r.Walk(func(m format.Member, content io.Reader) error { // our function gives no error
		if read := readerFor(m.Name); read != nil {
			e.readMember(m.Name, &source{r: content, left: &left, over: errNoMoreText}, read)
		}
		return nil
	})
	e.text = bytes.Buffer{}
}

// readMember reads one member, to its end, where its sum is compared.
func (e *Evidence) readMember(name string, in *source, read func(*Evidence, string, io.Reader) error) {
	err := read(e, name, in)
	if _, rest := io.Copy(io.Discard, in); rest != nil && in.err == nil {
		in.err = rest
	}
	switch {
	case in.err == errNoMoreText:
		e.Partial.Add(name, in.err)
	case in.err != nil && in.err != io.EOF:
		e.Damage = append(e.Damage, in.err)
	case err != nil:
		e.Partial.Add(name, err)
	}
}

// readerFor gives the function that reads a member, nil where none does.
func readerFor(name string) func(e *Evidence, name string, r io.Reader) error {
	for _, m := range members {
		if name == m.name || strings.HasSuffix(m.name, "/") && strings.HasPrefix(name, m.name) {
			return m.read
		}
	}
	return nil
}
