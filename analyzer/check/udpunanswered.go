package check

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	silentQuestions = Limit{"questions", 10, "questions",
		"a client that goes leaves some, and a name that no server knows about has some tries"}
	silentBefore = Limit{"before", 0.9, "ratio of the questions",
		"who leaves one of ten without an answer all day, as a server that limits its rate does, has not stopped"}
)

var udpUnanswered = Check{
	ID:    "udp-unanswered",
	Title: "A service of UDP answers nobody any more",
	Doc:   "datagrams for this host's own services, or that it forwards, were answered, and then none was for a second and longer",
	Page: `A resolver, a time server, a game: whoever asks by UDP learns nothing from silence, and
tries again after a second or five. A router, a translator of addresses or a host of
containers has no socket of it, and none of its counters moves; nor does any of the host
whose program reads what it is asked and says nothing.

Who sends the first datagram between two addresses and ports asks. A service is told of
that answered nearly all questions until a moment, and none of those that were asked
since, by more than one client or one that asked by several ports. What was never
answered is no service (logs, metrics, scans), and who answers others all the time has
not stopped. Where a capture saw both sides of this host, it says which side has the
answers.`,
	Ref:    "RFC 768; RFC 1035 section 4.2.1; RFC 8085 section 3.1",
	Needs:  []*Need{needPackets, needOwn},
	Limits: []Limit{silentQuestions, silentBefore},
	Causes: []Link{
		{Cause: &udpStalled, On: subject.KindListener, Slack: counterSlack,
			Because: "a program that reads nothing answers nothing"},
		{Cause: &neighbourFailed, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "what waits for a neighbour that does not answer is not sent"},
		{Cause: &conntrackFull, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "a datagram that finds no room in connection tracking is dropped"},
		{Cause: &duplicateAddress, On: subject.KindPeer, Slack: counterSlack, If: harmful,
			Because: "the other machine that has the address does not answer"},
	},
	Explains: []string{"forward.unanswered", "udp.unanswered", "udp.stalled"},
	run:      runUDPUnanswered,
}

// runUDPUnanswered asks of each service and interface, and of those that tell of one service the client's side.
func runUDPUnanswered(c *Case) Answer {
	byServer := map[netip.AddrPort]*Finding{}
	var findings []*Finding
	var asked uint64
	for _, s := range c.Evidence.Packets.Datagrams {
		asked += s.Answered + uint64(len(s.Unanswered)) + s.Left
		begin := c.silentSince(s)
		if begin < 0 || c.ownAsk(s.Unanswered[begin:]) {
			continue
		}
		f := c.udpFinding(s, begin)
		switch told := byServer[s.Server]; {
		case told == nil:
			byServer[s.Server] = f
			findings = append(findings, f)
		case f.Start.Before(told.Start): // what is forwarded comes in before it leaves
			*told = *f
		}
	}
	if len(findings) == 0 {
		return absent("of %s to services of UDP none went to one that had answered and ceased", words.Plural(asked, "question", "questions"))
	}
	return present(c.rest(worst(findings), "services of UDP that are silent")...)
}

// silentSince gives the first of the questions that were asked since the last answer in time, -1 where that is no silence of
// the service.
func (c *Case) silentSince(s *traffic.Asked) int {
	var first int
	for first = len(s.Unanswered); first > 0 && s.Unanswered[first-1].Time > s.LastAnswer-int64(time.Second) && s.Unanswered[first-1].Late == 0; first-- {
	}
	n, before := len(s.Unanswered)-first, uint64(first)
	if float64(n) < silentQuestions.Value || float64(s.Answered) < silentQuestions.Value || float64(s.Answered) < silentBefore.Value*float64(s.Answered+before) {
		return -1
	}
	return first
}

// ownAsk says whether it is this host that asked: that is no forwarded question.
func (c *Case) ownAsk(list []traffic.Question) bool {
	for i := range list {
		if !c.Evidence.Packets.Local[list[i].From.Addr()] {
			return false
		}
	}
	return true
}

// udpFinding tells of one service.
func (c *Case) udpFinding(s *traffic.Asked, begin int) *Finding {
	list := s.Unanswered[begin:]
	clients := map[netip.Addr]bool{}
	for i := range list {
		clients[list[i].From.Addr()] = true
	}
	f := &Finding{Severity: Critical, Object: s.Server.String(), Subjects: []subject.Subject{subject.Service{Addr: s.Server}, subject.Peer{Addr: s.Server.Addr()}}}
	f.at(timeline.Span{Start: list[0].Time, End: list[len(list)-1].Time})
	n := uint64(len(list)) + s.Left
	questions := c.least(needPackets) + words.Plural(n, "question", "questions")
	f.effect = questions + " by UDP without an answer"
	f.Headline = fmt.Sprintf("%s answered none of %s by UDP of %s any more for %s; of those before it had answered %s.", s.Server, questions,
		words.Plural(uint64(len(clients)), "client", "clients"), unit.Duration(f.End.Sub(f.Start)), unit.Percent(float64(s.Answered)/float64(s.Answered+uint64(begin))))
	side, detail, look := c.answersSide(s, list[0].Time)
	if c.Evidence.Packets.Local[s.Server.Addr()] {
		detail, look = c.ownSilence(s, f)
	}
	f.Detail = detail
	f.Remedy = []Remedy{{What: look}}
	filter := fmt.Sprintf("ip.addr == %s && udp.port == %d", s.Server.Addr(), s.Server.Port())
	if s.Server.Addr().Is6() {
		filter = "ipv6" + filter[2:]
	}
	f.Evidence = []Item{{Kind: "packets", Member: c.inputMember(s.Input), Where: "frame " + fmt.Sprint(list[0].Frame) + side, Value: val(float64(n)), Unit: "1",
		Text: fmt.Sprintf("questions of %s without an answer; before, %s of %s had one", words.Plural(uint64(len(clients)), "client", "clients"), unit.Count(s.Answered), unit.Count(s.Answered+uint64(begin))), Filter: filter}}
	return f
}

// answersSide says how far the answers came: whether another interface saw some while this one saw none.
func (c *Case) answersSide(s *traffic.Asked, since int64) (side, detail, look string) {
	here := c.interfaceName(s.Interface)
	for _, o := range c.Evidence.Packets.Datagrams {
		if o.Server != s.Server || o.Interface == s.Interface || o.Input != s.Input {
			continue
		}
		there := c.interfaceName(o.Interface)
		if o.LastAnswer > since+int64(time.Second) {
			return " on " + here, fmt.Sprintf("Answers came in at %s, and none left by %s: this host dropped them.", there, here),
				"Look for what drops forwarded packets here: the counters of nft list ruleset and iptables -L -v (FORWARD), routes and neighbours of the way back."
		}
		if n := len(o.Unanswered); n > 0 && o.Unanswered[n-1].Time > since {
			return " on " + here, fmt.Sprintf("The questions came in at %s and left by %s, and no answer came back there: the path behind it or the service.", here, there),
				fmt.Sprintf("Ask whether the service at %s runs, and what lies on the way there.", s.Server)
		}
	}
	return "", "Whether the questions left this host again cannot be told: they were seen at one interface.",
		fmt.Sprintf("Follow one over the interfaces; then ask the service at %s, or look at the forward rules, routes and neighbours here.", s.Server)
}

// ownSilence says what there is to look at where the service is this host's own. A socket of it in which datagrams wait is a
// subject of the finding.
func (c *Case) ownSilence(s *traffic.Asked, f *Finding) (detail, look string) {
	for i := range c.Evidence.UDPSockets {
		u := &c.Evidence.UDPSockets[i]
		if at := bound(u).Addr; at.Port() == s.Server.Port() && (at.Addr() == s.Server.Addr() || at.Addr().IsUnspecified()) {
			f.Subjects = append(f.Subjects, bound(u))
			break
		}
	}
	return fmt.Sprintf("The questions came in at %s, and no answer of this host passed the tap.", c.interfaceName(s.Interface)),
		"See what the program that has the port waits for (its log, a thread dump, /proc/PID/stack), and whether a rule of this host drops what it says: nft list ruleset, output chains."
}
