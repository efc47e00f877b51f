package column

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A CPU or interface that appears late or goes away leaves gaps, and never moves the
// values of another reading, in whatever order the snapshots lie in the archive.
func TestColumnsGaps(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}, {1, 2, 0}, {2, 1, 0}, {0, 1, 1, 2}} {
		gaps(t, order)
	}
}

func gaps(t *testing.T, order []int) {
	var c Columns
	header := "Inter-|\n face |\n"
	line := func(name, v string) string { return name + ": " + v + strings.Repeat(" 0", 15) + "\n" }
	texts := []string{
		header + line("eth0", "10"),
		header + line("eth0", "11") + line("eth1", "5"),
		header + line("eth1", "6"),
	}
	for _, i := range order {
		if err := c.Read("proc/net/dev", int64(i), []byte(texts[i])); err != nil {
			t.Fatal(err)
		}
	}
	c.Finish()
	nan := math.NaN()
	for name, want := range map[string][]float64{
		"if.eth0.rx_bytes": {10, 11, nan},
		"if.eth1.rx_bytes": {nan, 5, 6},
	} {
		same := cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })
		if diff := cmp.Diff(want, c.Get(name).V, same); diff != "" {
			t.Errorf("%v: %s (-want +got):\n%s", order, name, diff)
		}
	}
	if got := c.Times("proc/net/dev"); !slices.Equal(got, []int64{0, 1, 2}) {
		t.Errorf("%v: readings at %v", order, got)
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

// However many names and readings a bundle has, what is held is bounded, and what is not is
// counted; the columns that are held are as long as their axes.
func TestColumnsAreBounded(t *testing.T) {
	var c Columns
	r, _ := c.Row("proc/meminfo", 0)
	for i := range 50_000 {
		r.Put(Gauge, "1", 1, "meminfo", strconv.Itoa(i))
	}
	for at := range int64(10_000) { // 500 million gaps
		c.Row("proc/meminfo", at+1)
	}
	c.Finish()
	held := 0
	for _, col := range c.All() {
		if len(col.V) != len(col.Axis.T) {
			t.Fatalf("%s has %d values at %d times", col.Name, len(col.V), len(col.Axis.T))
		}
		held += len(col.V) + columnCost
	}
	if held > mostHeld || c.Left() == 0 || c.Get("meminfo.0") == nil {
		t.Errorf("%d numbers are held and %d were left, with %d columns", held, c.Left(), len(c.All()))
	}
}
