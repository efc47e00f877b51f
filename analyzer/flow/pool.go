package flow

// pool keeps flows that are used again; the zero value is empty.
type pool struct{ free []*Flow }

// get returns a flow, as it was put back.
func (p *pool) get() *Flow {
	if n := len(p.free); n > 0 {
		f := p.free[n-1]
		p.free = p.free[:n-1]
		return f
	}
	return &Flow{}
}

// put keeps a flow for later.
func (p *pool) put(f *Flow) {
	// After a burst enough is kept for the ups and downs of a busy table.
	const most = 4096
	if len(p.free) < most {
		p.free = append(p.free, f)
	}
}
