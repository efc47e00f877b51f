package evidence

import (
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/ticks"
	"github.com/spikebox/spikebox/format/member"
)

// ticks makes what counts the packets by ticks: those of the bundle's vitals. They and this host's addresses are
// read before the packets are. Where the bundle does not list the addresses, those count that
// local holds by then.
func (in *inputs) ticks(local map[netip.Addr]bool) *ticks.Ticks {
	if in.bundle == nil || in.bundle.Manifest == nil {
		return ticks.New(nil, 0, 0, nil, false) // a bare capture has no addresses of its own
	}
	var times []int64
	in.early(member.VitalsName, func(r io.Reader) error {
		return member.EachTick(r, func(at int64) { times = append(times, at) })
	})
	var own Evidence
	in.early(member.AddressesName, func(r io.Reader) error { return own.readAddresses(member.AddressesName, r) })
	w := in.bundle.Manifest.Window
	if len(own.Own) == 0 {
		return ticks.New(times, w.Start.UnixNano(), w.End.UnixNano(), local, false)
	}
	return ticks.New(times, w.Start.UnixNano(), w.End.UnixNano(), own.Own, true)
}

// early reads a member that is read once more with all others, where what is wrong with it is told.
func (in *inputs) early(name string, read func(io.Reader) error) {
	r, err := in.bundle.Open(name)
	if err != nil {
		return
	}
	defer r.Close()
	const longest = 8 << 20 // ten minutes of two hundred vitals are 4 MB
	_ = read(io.LimitReader(r, longest))
}

// packetColumns makes columns of what packets told by ticks.
func (e *Evidence) packetColumns(own bool) {
	p := e.Packets
	source := member.PacketsName
	if !own {
		source = "packets"
	}
	from, to := p.Held()
	p.ticks.Columns(&e.Columns, source, from, to, e.processOf())
	p.ticks = nil
}

// Held gives the Unix ns between which all packets are held. A ring that was too small for the window has forgotten
// its oldest, and says from when on it has everything. Of several interfaces those count that hold a tenth of the
// packets at least: what hardly anything comes by is no reason to tell nothing, and one that was
// added later has a ring that begins late.
func (p *Packets) Held() (from, to int64) {
	const part = 10
	for i, iface := range p.Interfaces {
		minor := p.PerIface[i]*part < p.Totals.Packets || p.PerIface[i] == 0
		// Some writers swap the words of these times, and mean years.
		if minor || iface.From > p.Last || iface.To < p.First {
			continue
		}
		from = max(from, iface.From)
		if to == 0 || iface.To < to {
			to = iface.To
		}
	}
	if from == 0 { // no capture says so, or this one ends before it could
		from, to = p.First, p.Last
	}
	return from, to
}

// processOf finds the processes of services by this host's sockets: of one that it offers by the listener, of one
// that it uses by the sockets that are connected to it. Several processes are named together.
func (e *Evidence) processOf() ticks.Processes {
	offered, used := map[netip.AddrPort]map[string]bool{}, map[netip.AddrPort]map[string]bool{}
	for i := range e.Sockets {
		s := &e.Sockets[i]
		to, end := used, netip.AddrPortFrom(s.Remote.Unmap(), s.RemotePort)
		if s.Listening() {
			to, end = offered, netip.AddrPortFrom(s.Local.Unmap(), s.LocalPort)
		}
		for _, p := range s.Process {
			if to[end] == nil {
				to[end] = map[string]bool{}
			}
			to[end][p.Comm] = true
		}
	}
	return func(service netip.AddrPort, here bool) string {
		if !here {
			return together(used[service])
		}
		for _, addr := range []netip.Addr{service.Addr(), netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if names := offered[netip.AddrPortFrom(addr, service.Port())]; names != nil {
				return together(names)
			}
		}
		return ""
	}
}

// together names at most three programs.
func together(names map[string]bool) string {
	const few = 3
	list := slices.Sorted(maps.Keys(names))
	if len(list) > few {
		return ""
	}
	return strings.Join(list, "+")
}
