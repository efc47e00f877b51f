//go:build linux

package recorder

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

// Calibration is what the vitals did while they were watched.
type Calibration struct {
	Begin, End time.Time
	Ticks      int
	Columns    []vital.Column       // with why one cannot be measured
	Seen       map[string][]float64 // by vital, sorted; without the ticks that had no value
}

// Calibrate watches the vitals for a while, and records no packets.
func Calibrate(ctx context.Context, root string, span time.Duration, log *slog.Logger) *Calibration {
	probes := openProbes(probe.Options{NetNS: host.NetNS()}, log)
	defer probes.Close()
	peers := vital.NewPeers(probes.Names)
	board := vital.Open(vital.Env{Root: root, Probes: probes, Peers: peers}, log)
	defer board.Close()
	c := &Calibration{Begin: time.Now(), Seen: map[string][]float64{}}
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	for tick := time.NewTicker(Tick); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			c.end(board.Columns())
			return c
		case now := <-tick.C:
			board.Read(now)
			c.Ticks++
			for _, column := range board.Columns() {
				if !math.IsNaN(column.Value) {
					c.Seen[column.Name] = append(c.Seen[column.Name], column.Value)
				}
			}
			if probes.Events != nil {
				// A failure leaves the vitals of peers at 0, and shows in the log of a recorder.
				_, _ = probes.Events.Read(peers.Heed)
			}
		}
	}
}

func (c *Calibration) end(columns []vital.Column) {
	c.End, c.Columns = time.Now(), columns
	for _, values := range c.Seen {
		slices.Sort(values)
	}
}

// enough is how many values a p99 is told from.
const enough = 100

// calm is the value that 99 of 100 ticks lay at or below, NaN where too few had one.
func (c *Calibration) calm(name string) float64 {
	values := c.Seen[name]
	if len(values) < enough {
		return math.NaN()
	}
	return values[len(values)*99/100]
}

// Print writes a configuration for the recorder: each default trigger with the limits that
// follow from what was seen, and why. What was not seen keeps its factor, which learns; what
// cannot fire here is there as a remark.
func (c *Calibration) Print(w io.Writer) error {
	name, _ := os.Hostname() // for people to tell files apart
	var text strings.Builder
	fmt.Fprintf(&text, `# spikeboxd calibrate on %s, %d ticks from %s to %s UTC.
# For /etc/spikebox/spikeboxd.conf: the default triggers with numbers for limits. A factor (5x) is taken
# times what 99 of 100 ticks lay at or below, from a least limit on. A number does not follow the hour, as a
# factor does: see that the busiest one was among these ticks.
`, name, c.Ticks, c.Begin.UTC().Format("2006-01-02 15:04:05"), c.End.UTC().Format("15:04:05"))
	for _, d := range trigger.Defaults {
		t, err := trigger.Parse(d.Expr, vital.Units())
		if err != nil {
			return err
		}
		c.propose(&text, t)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// propose writes one trigger, with what was seen of its vitals.
func (c *Calibration) propose(w io.Writer, t *trigger.Trigger) {
	var terms, doubts []string
	fmt.Fprintln(w)
	for _, condition := range t.Conditions {
		fmt.Fprintf(w, "# %s\n", c.told(condition))
		fixed, ok := condition.Fixed(c.calm(condition.Vital))
		if !ok {
			doubts = append(doubts, fmt.Sprintf("%s is hardly ever higher than it was", condition.Vital))
			fixed = condition
		}
		if at := c.column(condition.Vital); at != nil && at.Source == "" && !at.Late {
			doubts = append(doubts, fmt.Sprintf("%s cannot be measured here", condition.Vital))
		}
		terms = append(terms, fixed.String())
	}
	expr := strings.Join(terms, " and ")
	if len(doubts) > 0 {
		fmt.Fprintf(w, "# not proposed, for %s:\n#trigger %s\n", strings.Join(doubts, ", and "), expr)
		return
	}
	fmt.Fprintf(w, "trigger %s\n", expr)
}

func (c *Calibration) column(name string) *vital.Column {
	if at := slices.IndexFunc(c.Columns, func(col vital.Column) bool { return col.Name == name }); at >= 0 {
		return &c.Columns[at]
	}
	return nil
}

// told says what was seen of a condition's vital.
func (c *Calibration) told(condition trigger.Condition) string {
	name, values := condition.Vital, c.Seen[condition.Vital]
	show := func(share int) string { return unit.Format(values[(len(values)-1)*share/100], condition.Unit) }
	switch column := c.column(name); {
	case len(values) == 0 && column != nil && column.Source == "":
		return fmt.Sprintf("%s was not seen: %s", name, column.Reason)
	case len(values) < enough:
		return fmt.Sprintf("%s had a value in %d of %d ticks, too few to tell", name, len(values), c.Ticks)
	case values[len(values)-1] == 0:
		return name + " was 0 all the time; its limit is the least that is worth a bundle"
	}
	return fmt.Sprintf("%s: median %s, 99 %% %s, largest %s", name, show(50), show(99), show(100))
}
