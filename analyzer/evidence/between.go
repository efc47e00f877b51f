package evidence

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/analyzer/taps"
	"github.com/spikebox/spikebox/format"
)

// Between is what the packets tell that were seen at several places: at two interfaces of one host, or in
// two inputs.
type Between struct {
	Places []Place
	Pairs  []*taps.Pair
	// Clocks says of each input how its clock runs beside the one of the input that all are put on; empty for
	// a single input. Known is false of all that is not Compared: standard input cannot be read twice.
	Clocks   []taps.Alignment
	Compared bool
	// Elsewhere counts packets of connections that are told of at another place.
	Elsewhere uint64
	// Unfollowed counts segments that were too many to be followed.
	Unfollowed uint64
	// Renumbered counts connections whose segments nobody finds again: they have other sequence numbers elsewhere.
	Renumbered uint64

	names    []string // of the inputs
	about    int      // index of the input that the evidence is about
	bundle   bool     // and that is a bundle's
	tracker  *taps.Tracker
	places   []int // by index of packet.Interfaces
	chain    []int // by input: the first file of the capture that it goes on with
	perIface []uint64
}

// Place is where packets were seen.
type Place struct {
	Name        string // edge-1 (eth0)
	Member      string // the capture, or the bundle's member, that holds its packets
	Source      string // the same without the interface
	Input       int
	First, Last int64 // Unix ns of its TCP packets
	Packets     uint64
	Lost        uint64 // by the capture, by its own account
	Told        bool   // it keeps one

	iface string
}

// Host says whether a pair's two places are of one host: what is lost between them is lost here.
func (b *Between) Host(p *taps.Pair) bool { return b.Places[p.A].Input == b.Places[p.B].Input }

// Strangers gives the first two inputs that were recorded at the same time and have no packet in common
// with any other; ok is false where there are none. Files of one capture follow each other.
func (b *Between) Strangers() (one, other *Place, ok bool) {
	for i := range b.Places {
		for j := range b.Places[:i] {
			p, q := &b.Places[j], &b.Places[i]
			if p.Input == q.Input || p.First == 0 || q.First == 0 || b.linked(p.Input, q.Input) {
				continue
			}
			if p.First <= q.Last && q.First <= p.Last {
				return p, q, true
			}
		}
	}
	return nil, nil, false
}

// linked says whether two inputs are compared with each other, or one with another one.
func (b *Between) linked(one, other int) bool {
	return b.Compared && (b.Clocks[one].Known() && b.Clocks[other].Known())
}

// translates says of a service that its connections are seen to be translated here and to go on to a server elsewhere,
// whatever address of this host clients ask for.
func (p *Packets) translates(service netip.AddrPort) bool {
	b := p.Between
	return b != nil && len(p.Local) > 0 && slices.ContainsFunc(b.Pairs, func(pair *taps.Pair) bool {
		return b.Host(pair) && slices.ContainsFunc(pair.Translated, func(t taps.Translation) bool {
			return t.A == service && !p.Local[t.B.Addr().Unmap()] || t.B == service && !p.Local[t.A.Addr().Unmap()]
		})
	})
}

// Uneven says that the clocks of a way's two places cannot be compared, as one of them was set or slewed.
func (b *Between) Uneven(w *taps.Way) bool {
	one, other := b.Places[w.From].Input, b.Places[w.To].Input
	return one != other && len(b.Clocks) > 0 && (b.Clocks[one].Uneven || b.Clocks[other].Uneven)
}

// Find gives the index of the place of an interface of an input, by their names; negative where no packet was seen at
// such a place.
func (b *Between) Find(input, iface string) int {
	at := slices.Index(b.names, input)
	if at < 0 {
		return -1
	}
	return slices.IndexFunc(b.Places, func(p Place) bool { return p.Input == b.chain[at] && p.iface == iface })
}

// Clock gives how an input's clock runs beside the one that all are put on.
func (b *Between) Clock(input string) packet.Clock {
	if at := slices.Index(b.names, input); at >= 0 && at < len(b.Clocks) {
		return b.Clocks[at].Clock
	}
	return packet.Clock{}
}

// Twice says of two places that the same packets are seen at both.
func (b *Between) Twice(one, other int) bool {
	return slices.ContainsFunc(b.Pairs, func(p *taps.Pair) bool { return p.A == one && p.B == other || p.A == other && p.B == one })
}

// About says of a place that it is of the bundle that the evidence is about.
func (b *Between) About(place int) bool {
	return b.bundle && place >= 0 && b.Places[place].Input == b.about
}

// foreign says of an input that the evidence is not about it.
func (b *Between) foreign(input int) bool { return b != nil && b.bundle && input != b.about }

// sources gives what is read of the inputs.
func (in *inputs) sources() []packet.Input {
	all := make([]packet.Input, len(in.captures))
	for i := range in.captures {
		all[i] = in.captures[i].Input
	}
	return all
}

// between compares the clocks of several inputs, and puts all on that of the one that they are about.
func (in *inputs) between(opts Options) (*Between, error) {
	b := &Between{tracker: taps.New(len(in.captures) > 1), about: in.about, bundle: in.member != nil && !opts.OnlyFlows}
	b.chain = make([]int, len(in.captures))
	for i := range b.chain {
		b.chain[i] = i
		b.names = append(b.names, in.captures[i].Name)
	}
	if len(in.captures) < 2 {
		return b, nil
	}
	b.Clocks = make([]taps.Alignment, len(in.captures))
	if b.Compared = !slices.ContainsFunc(in.captures, func(c capture) bool { return c.again == nil }); !b.Compared {
		return b, nil
	}
	// That one first: Align puts all on the clock of the first.
	order := []int{in.about}
	for i := range in.captures {
		if i != in.about {
			order = append(order, i)
		}
	}
	sketches, err := in.sketches(order)
	if err != nil {
		return nil, err
	}
	for i, a := range taps.Align(sketches) {
		a.With = order[a.With]
		b.Clocks[order[i]] = a
	}
	b.files(in, order, sketches)
	for i := range in.captures {
		in.captures[i].Clock = b.Clocks[i].Clock
	}
	return b, nil
}

// files finds the inputs that are further files of the same capture: they are called the same but for
// numbers, as tcpdump -C and -G and dumpcap -b number them, and begin when another ends.
func (b *Between) files(in *inputs, order []int, sketches []*taps.Sketch) {
	digits := regexp.MustCompile("[0-9]+")
	last := map[string]int{} // by name without numbers, the newest file
	byTime := slices.SortedFunc(slices.Values(order), func(i, j int) int {
		return cmp.Compare(sketches[slices.Index(order, i)].First, sketches[slices.Index(order, j)].First)
	})
	for _, i := range byTime {
		if in.captures[i].host != "" {
			continue
		}
		name := digits.ReplaceAllString(in.captures[i].Name, "")
		if before, ok := last[name]; ok && sketches[slices.Index(order, before)].Last <= sketches[slices.Index(order, i)].First {
			b.chain[i] = b.chain[before]
			if !b.Clocks[i].Known() {
				b.Clocks[i] = b.Clocks[before]
			}
		}
		last[name] = i
	}
}

// sketches reads a sample of each input.
func (in *inputs) sketches(order []int) ([]*taps.Sketch, error) {
	all := make([]*taps.Sketch, len(order))
	errs := make([]error, len(order))
	var wg sync.WaitGroup
	for i, n := range order {
		wg.Go(func() { all[i], errs[i] = sampled(&in.captures[n]) })
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// sampled reads a sample of one input.
func sampled(c *capture) (*taps.Sketch, error) {
	r, err := c.again()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	source, err := packet.Open(packet.Input{Name: c.Name, Reader: r})
	if err != nil {
		return nil, err
	}
	defer source.Close()
	s := &taps.Sketch{Bound: c.bound}
	for {
		packets, err := source.Batch()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		s.Add(packets)
	}
}

// place gives the index of the place of an interface.
func (b *Between) place(in *inputs, source *packet.Source, iface int) int {
	for len(b.places) <= iface {
		b.places, b.perIface = append(b.places, -1), append(b.perIface, 0)
	}
	if b.places[iface] >= 0 {
		return b.places[iface]
	}
	i := source.Interfaces()[iface]
	first := b.chain[i.Input]
	at := slices.IndexFunc(b.Places, func(p Place) bool { return p.Input == first && p.iface == i.Name })
	if at < 0 || first == i.Input { // two interfaces of one file may have the same name
		at = len(b.Places)
		b.Places = append(b.Places, Place{
			Name: in.placeName(first, i.Name), Source: in.hostName(first), Member: in.captures[first].Name, Input: first, Told: true, iface: i.Name,
		})
		if b.foreign(first) {
			b.tracker.Foreign(at)
		}
	}
	b.places[iface] = at
	return at
}

// batch hands packets over: those of connections that are told of elsewhere only to the tracker.
func (b *Between) batch(p *Packets, table *flow.Table, packets []packet.Packet, place func(iface int) int) {
	kept := packets[:0]
	for i := range packets {
		pkt := &packets[i]
		at := place(int(pkt.Interface))
		b.perIface[pkt.Interface]++
		fate := b.tracker.Add(pkt, at)
		switch {
		case b.foreign(int(pkt.Input)):
			continue
		case fate == taps.Home:
			p.see(pkt)
			if kept = kept[:len(kept)+1]; &kept[len(kept)-1] != pkt {
				kept[len(kept)-1] = *pkt
			}
			continue
		case fate == taps.Translated:
			table.AddBatch(kept)
			kept = kept[len(kept):]
			table.Forget(pkt)
		}
		b.Elsewhere++
		p.Last = max(p.Last, pkt.Time)
	}
	table.AddBatch(kept)
}

// finish takes what the tracker has found.
func (b *Between) finish(p *Packets, in *inputs) {
	p.Between = b
	b.perIface = append(b.perIface, make([]uint64, max(0, len(p.Interfaces)-len(b.perIface)))...)
	p.PerIface = b.perIface
	for i, at := range b.places {
		if at < 0 {
			continue
		}
		place, iface := &b.Places[at], p.Interfaces[i]
		place.Packets += b.perIface[i]
		place.Lost += iface.Drops
		place.Told = place.Told && iface.HasDrops
	}
	b.number(p.Interfaces)
	for at := range b.Places {
		b.Places[at].First, b.Places[at].Last = b.tracker.Span(at)
	}
	// What another input has lost takes nothing from what the bundle says.
	p.Damage = slices.DeleteFunc(p.Damage, func(d *packet.DamageError) bool {
		i := slices.IndexFunc(in.captures, func(c capture) bool { return c.Name == d.Input })
		return i >= 0 && b.foreign(i)
	})
	p.Totals.Packets += b.Elsewhere
	p.Totals.TCPPackets += b.Elsewhere
	b.Pairs, b.Unfollowed, b.Renumbered = b.tracker.Finish(), b.tracker.Unfollowed, b.tracker.Renumbered
	b.tracker = nil
	for _, pair := range b.Pairs {
		if b.rank(pair.B) < b.rank(pair.A) {
			pair.Turn()
		}
	}
}

// number tells the interfaces of one file apart that bear the same name, or none: by their number, as Wireshark's
// frame.interface_id has it.
func (b *Between) number(list []packet.Interface) {
	names := map[string]int{}
	for _, p := range b.Places {
		names[p.Name]++
	}
	numbers := map[int]int{} // by input
	for i, iface := range list {
		n := numbers[iface.Input]
		numbers[iface.Input]++
		if i >= len(b.places) || b.places[i] < 0 {
			continue
		}
		if p := &b.Places[b.places[i]]; names[p.Name] > 1 && p.Input == iface.Input {
			if p.Name += fmt.Sprintf(", interface %d", n); p.iface == "" && len(b.names) == 1 {
				p.Name = fmt.Sprintf("interface %d", n)
			}
		}
	}
}

// rank orders places as their inputs were given, that first which the evidence is about.
func (b *Between) rank(place int) int {
	if input := b.Places[place].Input; input != b.about {
		return 1 + input
	}
	return 0
}

// placeName names a place for people: edge-1 (eth0), or only eth0 where there is no other host.
func (in *inputs) placeName(input int, iface string) string {
	if iface != "" && len(in.captures) == 1 {
		return iface
	}
	if iface == "" {
		return in.hostName(input)
	}
	return in.hostName(input) + " (" + iface + ")"
}

// hostName names an input for people: by its host, or else by its file. Of several that would be called the
// same, the later ones bear their number.
func (in *inputs) hostName(input int) string {
	name, same := in.captures[input].called(), 0
	for i := range in.captures {
		if before := i == in.about || i < input; before && i != input && input != in.about && in.captures[i].called() == name {
			same++
		}
	}
	if same > 0 {
		name += fmt.Sprintf(" #%d", same+1)
	}
	return name
}

// called is what an input is called.
func (c *capture) called() string {
	if c.host != "" {
		return c.host
	}
	return filepath.Base(c.Name)
}

// clockBound is by how much a host's clock was wrong at most, by its own account: as long as it was kept
// right in the whole window, and nobody set it. In ns; 0 where that is not so.
func clockBound(m *format.Manifest) (most int64) {
	for _, c := range m.Clocks {
		if !c.Synchronized {
			return 0
		}
		most = max(most, c.MaxErrorNs+max(c.OffsetNs, -c.OffsetNs))
	}
	return most
}
