package trigger

import (
	"math"

	"github.com/spikebox/spikebox/format/unit"
)

// headroom is how far above what is ordinary a number lies that was below it: below three
// times, the ordinary peaks of a day would fire.
const headroom = 3

// Fixed gives the condition with a number for a limit, from the value that calm ticks hardly
// ever exceed; NaN where there was none. A factor becomes that many times the value, and at
// least its floor; a number stays, or is raised above what is calm. It is not ok where the
// vital can hardly be higher than it is.
func (c Condition) Fixed(calm float64) (fixed Condition, ok bool) {
	if math.IsNaN(calm) || !c.Above {
		return c, true
	}
	switch {
	case c.Factor:
		c.Limit = round(c.Limit*max(calm, floor(&c)), c.Unit)
	case calm >= c.Limit:
		c.Limit = round(max(headroom*calm, c.Limit), c.Unit)
	}
	c.Factor = false
	if most := bound(c.Vital); c.Limit >= most {
		// Half of the way that is left, where there is one.
		if c.Limit = calm + (most-calm)/2; calm > 0.9*most {
			return c, false
		}
	}
	return c, true
}

// round gives a number with two digits, which people can remember: a whole one for what is
// counted.
func round(v float64, u string) float64 {
	if v <= 0 {
		return 0
	}
	scale := math.Pow(10, math.Floor(math.Log10(v))-1)
	if u == unit.One || u == unit.PerSecond || u == unit.Bytes {
		scale = max(scale, 1)
	}
	return math.Ceil(v/scale-1e-9) * scale
}

// String is the condition as Parse reads it.
func (c Condition) String() string {
	text := c.Vital + " < "
	if c.Above {
		text = c.Vital + " > "
	}
	if c.Factor {
		text += unit.Format(c.Limit, unit.One) + "x"
	} else {
		text += unit.Format(c.Limit, c.Unit)
	}
	if c.For > 0 {
		text += " for " + c.For.String()
	}
	return text
}
