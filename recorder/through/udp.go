package through

import "time"

const (
	// answerAfter is after how long a question waits: resolvers ask again after a second or more, and people notice.
	answerAfter = uint64(time.Second)
	// pause ends a question: what keeps a translation open is sent every 15 s or so, and needs no answer (RFC 4787, RFC 3948).
	pause = uint64(3 * time.Second)
	// serviceKept is for how long a service counts that has answered.
	serviceKept = uint64(15 * time.Minute)
)

// flow is one of UDP on one interface. Who sends first asks.
type flow struct {
	key             uint64 // 0: nobody's
	service, client uint64 // the end that was asked, with the interface, and the address of the other
	seen            uint64
	asked, last     uint64 // the first and the newest question since the last answer; 0: none
	gap             uint64 // longest that an answer took
	answered        bool
	forwarded       bool
	own             bool // this host has answered itself
	out             bool // questions leave by this interface
	asker           uint8
}

// service is an end that has answered what is forwarded, or one of this host's.
type service struct {
	key uint64
	at  uint64
	own bool
}

// addUDP takes a datagram.
func (t *Table) addUDP(p *Packet, s *segment) {
	f := &t.flows[s.key%flowPlaces]
	if f.key != s.key {
		if (f.forwarded || f.own) && since(p.At, f.seen) < placeStays {
			return
		}
		*f = flow{key: s.key, service: mix(s.end[1-s.sender], uint64(p.Link)), client: s.addr[s.sender], asker: uint8(s.sender), out: p.Out}
	}
	f.seen = max(f.seen, p.At)
	f.forwarded = f.forwarded || p.Forwarded
	if s.sender != int(f.asker) {
		f.answer(p.At)
		f.own = p.Out && !p.Forwarded
		if f.forwarded || f.own {
			t.services[f.service%servicePlaces] = service{f.service, p.At, f.own}
		}
		return
	}
	if f.asked == 0 || p.At > f.last+pause {
		f.asked = p.At
	}
	f.last = max(f.last, p.At)
}

func (f *flow) answer(at uint64) {
	if f.asked != 0 && at > f.asked {
		f.gap = max(f.gap, at-f.asked)
	}
	f.answered = true
	if at >= f.last {
		f.asked = 0
	}
}

// waits says whether a flow waits for an answer, and for longer than it ever did: a stream's receiver reports every
// some seconds (RFC 3550). The last datagram of a conversation needs none, so that who was answered before must ask on.
func (t *Table) waitsUDP(f *flow, now uint64, own bool) bool {
	s := &t.services[f.service%servicePlaces]
	if s.key != f.service || s.own != own || since(now, s.at) > serviceKept || f.last <= s.at || since(now, f.last) > told {
		return false
	}
	from := max(f.asked, s.at) // it has answered others meanwhile
	return f.asked > t.lapsed && since(now, from) >= max(answerAfter, 2*f.gap) &&
		(!f.answered || f.last-from >= answerAfter)
}

// unanswered counts the flows that wait for services, this host's own or others', that have answered before and nobody
// since: all of those that several wait for, and one for each client of others, as some program's peers go all the time.
func (t *Table) unanswered(now uint64, own bool) int {
	clear(t.silent)
	for i := range t.flows {
		if f := &t.flows[i]; f.key != 0 && t.waitsUDP(f, now, own) {
			t.waits(f.service, f.out, f.asked)
		}
	}
	clear(t.clients)
	for i := range t.flows {
		f := &t.flows[i]
		if s := t.silent[f.service]; f.key != 0 && s != nil && !s.all() && t.waitsUDP(f, now, own) {
			t.clients[f.client] = true
		}
	}
	return t.counted() + len(t.clients)
}
