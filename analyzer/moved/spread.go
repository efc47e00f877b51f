package moved

import (
	"math"
	"strings"

	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

// spread is the noise of a quiet series, as a standard deviation: the median distance from the
// median, which a single burst does not raise (1.4826 makes it the deviation of normal
// noise), but never less than what a series of its kind has by nature. A dozen quiet
// readings that happen to be equal say little about the next.
func spread(s *timeline.Series, quiet []float64, usual float64) float64 {
	distances := make([]float64, len(quiet))
	for i, v := range quiet {
		distances[i] = math.Abs(v - usual)
	}
	return max(1.4826*median(distances), grain(s, usual))
}

// grains are series that come in larger pieces than their unit says, by the begin of
// their names; the first that fits counts.
var grains = []struct {
	prefix string
	size   float64
	why    string
}{
	{"rtt.p50", 0.001, "half of all round trips within a host or a rack differ by less"},
	{"packets.rtt.p50", 0.001, "likewise"},
	{"packets.rtt.over.p50", 0.001, "likewise"},
	{"packets.rtt.", 0.040, "the same as for rtt."},
	{"rtt.", 0.040, "a peer may hold back an acknowledgement for 40 ms (net/ipv4/tcp.h, TCP_DELACK_MIN), and the slowest do"},
	{"vmstat.", 1000, "a program that starts touches about a thousand pages"},
	{"meminfo.", 4 << 20, "the same in bytes"},
	{"sockstat.TCP.mem", 16, "pages: a socket's budget is taken in steps and given back late (net/core/sock.c)"},
	{"tcp.mem", 64 << 10, "the same in bytes"},
	{"psi.", 0.01, "a hundredth of the time nobody misses"},
	{"softirqs.NET_", 1, "packets come one by one"},
	{"softirqs.", 100, "one write to a disk or one program that starts brings some hundred at once"},
	{"irq.", 100, "the same"},
	{"stat.processes", 30, "a script starts dozens of processes in a second"},
}

// grain is the least spread of a series by its kind.
//
// Events that do not know of each other are Poisson distributed, and so are the sockets or
// entries that come and go with them (the M/G/∞ queue): the deviation is the root of the mean,
// and 1 where nothing was ever counted. Bytes come in packets of 1.5 kB. Time and shares
// have the resolution of what people and timers feel: 1 ms, and a hundredth.
func grain(s *timeline.Series, usual float64) float64 {
	piece, known := 1.0, false
	name := runs(s.Name)
	for _, g := range grains {
		if strings.HasPrefix(name, g.prefix) {
			piece, known = g.size, true
			break
		}
	}
	switch u := s.RateUnit(); {
	case u == unit.Seconds && !known:
		return 0.001
	case u == unit.Ratio && !known:
		return 0.01
	case u == unit.Seconds, u == unit.Ratio:
		return piece
	case (u == unit.Bytes || u == unit.Bytes+"/s") && !known:
		piece = 1500
	}
	// n pieces of a size deviate by the root of n, times the size.
	return math.Sqrt(math.Max(usual/piece, 1)) * piece
}
