package packet

// Clock is how an input's clock runs beside the one that its times are put on. The zero value leaves
// times as they are.
type Clock struct {
	Ahead int64   // ns that it is ahead at Ref
	Drift float64 // that it gains, in ns for each ns
	Ref   int64   // Unix ns, of its own
	Step  int64   // ns by which it was set forward at StepAt
	// Unix ns of its own clock, after the step; only where Step is not 0.
	StepAt int64
}

// At puts a time of the input, in Unix ns, on the other clock.
func (c Clock) At(t int64) int64 {
	if c.Step != 0 && t >= c.StepAt {
		t -= c.Step
	}
	if c.Drift == 0 { // also where differences of times would overflow, as in hostile files
		return t - c.Ahead
	}
	return t - c.Ahead - int64(c.Drift*float64(t-c.Ref))
}
