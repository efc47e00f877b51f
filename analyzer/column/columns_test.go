package column

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A CPU or interface that appears late or goes away leaves gaps, and never moves the
// values of another reading.
func TestColumnsGaps(t *testing.T) {
	var c Columns
	header := "Inter-|\n face |\n"
	line := func(name, v string) string { return name + ": " + v + strings.Repeat(" 0", 15) + "\n" }
	for i, text := range []string{
		header + line("eth0", "10"),
		header + line("eth0", "11") + line("eth1", "5"),
		header + line("eth1", "6"),
	} {
		if err := c.Read("proc/net/dev", int64(i), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Read("proc/net/dev", 1, nil); err == nil {
		t.Error("a snapshot older than the last was accepted")
	}
	c.Finish()
	nan := math.NaN()
	for name, want := range map[string][]float64{
		"if.eth0.rx_bytes": {10, 11, nan},
		"if.eth1.rx_bytes": {nan, 5, 6},
	} {
		same := cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })
		if diff := cmp.Diff(want, c.Get(name).V, same); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := len(c.Times("proc/net/dev")); got != 3 {
		t.Errorf("%d readings, want 3", got)
	}
}

// Of a table of mostly zeros only what was ever more costs a column, and it has been
// zero before.
func TestSparse(t *testing.T) {
	var c Columns
	for at, v := range []float64{0, 0, 3} {
		r, _ := c.Row("proc/interrupts", int64(at))
		r.Sparse(Counter32, "1", 0, "irq", "1", "cpu0")
		r.Sparse(Counter32, "1", v, "irq", "1", "cpu1")
	}
	c.Finish()
	if c.Get("irq.1.cpu0") != nil {
		t.Error("a number that was always zero has a column")
	}
	if diff := cmp.Diff([]float64{0, 0, 3}, c.Get("irq.1.cpu1").V); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
