package flow

// Flows end by two mechanisms, so that a packet costs no more than a look at its flow. The few that
// are half-open or closed stand in lines, in the order of their last packets, and leave at the front.
// The many that are open are in a wheel of seconds, where packets do not move them: a flow that is
// found to be in use when its second comes is put into a later one.

// list is a ring of flows with a sentinel, linked through the flows themselves.
type list struct{ root Flow }

// init makes the list empty.
func (l *list) init() { l.root.prev, l.root.next = &l.root, &l.root }

// append adds f at the end.
func (l *list) append(f *Flow) {
	f.prev, f.next = l.root.prev, &l.root
	f.prev.next, l.root.prev = f, f
}

// first returns the first flow, nil when the list is empty.
func (l *list) first() *Flow {
	if l.root.next == &l.root {
		return nil
	}
	return l.root.next
}

// unlink takes f out of whichever list it is in.
func (f *Flow) unlink() {
	f.prev.next, f.next.prev = f.next, f.prev
	f.prev, f.next = nil, nil
}

// line is a list of flows that hardly send any more, in the order of their last packets.
type line struct {
	list
	n     int
	limit int   // more than so many may not wait
	idle  int64 // ns of silence after which a flow ends
}

// enter puts f at the end of a line, or moves it there.
func (t *Table) enter(l *line, f *Flow) {
	t.leave(f)
	f.line = l
	l.append(f)
	l.n++
	t.serve(l)
}

// leave takes f out of its line, or out of the wheel.
func (t *Table) leave(f *Flow) {
	if f.line != nil {
		f.line.n--
		f.line = nil
	}
	if f.next != nil {
		f.unlink()
	}
}

// serve ends the flows of a line whose time has come, and the first of too many.
func (t *Table) serve(l *line) {
	for f := l.first(); f != nil; f = l.first() {
		silent := t.now - f.seen
		if silent < l.idle && (l.n <= l.limit || silent < f.patience()) {
			return
		}
		t.end(f)
	}
}

// patience is for how long a flow must have been silent, at least, before it may end. A closed one
// may still have to repeat its last FIN: the first timeout comes after 200 ms on Linux, 300 ms on
// Windows, and a few round trips. Keeping more would cost more than memory: the flows that are in use
// would no longer fit into the cache.
func (f *Flow) patience() int64 {
	if !f.closed {
		return 0
	}
	return closedIdle + 4*max(f.Dirs[Client].rtt.Max(), f.Dirs[Server].rtt.Max())
}

// close moves a flow that was closed or reset into the line of those.
func (t *Table) close(f *Flow) {
	f.closed = true
	t.enter(&t.closed, f)
}

// schedule puts f into the slot of the wheel at which it is looked at next. It may have to stay
// then: the wheel reaches about a minute, and packets do not move flows in it.
func (t *Table) schedule(f *Flow) {
	t.leave(f)
	due := (f.seen+openIdle)/second + 1
	due = min(max(due, t.turned+1), t.turned+wheelReach)
	t.wheel[due%wheelSlots].append(f)
}

// turn looks at every flow that is due up to the given second.
func (t *Table) turn(now int64) {
	t.serve(&t.halfOpen)
	t.serve(&t.closed)
	// After a long silence each slot is due once.
	from := max(t.turned+1, now-wheelSlots+1)
	t.turned = now
	for s := from; s <= now; s++ {
		t.expire(&t.wheel[s%wheelSlots])
	}
}

// expire ends the flows of a slot whose time has come and schedules the others again.
func (t *Table) expire(slot *list) {
	last := slot.root.prev
	for f := slot.first(); f != nil; f = slot.first() {
		done := f == last
		if f.seen+openIdle <= t.now {
			t.end(f)
		} else {
			t.schedule(f)
		}
		if done {
			return
		}
	}
}
