package flow

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

// waitForHandshake puts a new flow among the half-open ones, which are ended in the order of their
// beginning.
func (t *Table) waitForHandshake(f *Flow) {
	f.waiting = true
	t.halfOpen.append(f)
	t.halves++
	for oldest := t.halfOpen.first(); oldest != f; oldest = t.halfOpen.first() {
		if t.halves <= maxHalfOpen && t.now-oldest.Last < handshakeIdle {
			return
		}
		t.end(oldest)
	}
}

// unschedule takes f out of the list that will end it.
func (t *Table) unschedule(f *Flow) {
	if f.waiting {
		f.waiting = false
		t.halves--
	}
	f.unlink()
}

// reschedule moves f to where its state wants it, after the handshake or the close.
func (t *Table) reschedule(f *Flow) {
	t.unschedule(f)
	t.schedule(f)
}

// schedule puts f into the slot of the wheel at which it is looked at next. It may have to stay
// then: the wheel reaches about a minute, and packets do not move flows in it.
func (t *Table) schedule(f *Flow) {
	due := f.deadline()/second + 1
	due = min(max(due, t.turned+1), t.turned+wheelReach)
	t.wheel[due%wheelSlots].append(f)
}

// deadline is when f has been silent for long enough, in Unix ns.
func (f *Flow) deadline() int64 {
	if f.closed {
		longest := max(f.Dirs[Client].rtt.max, f.Dirs[Server].rtt.max)
		return f.Last + closedIdle + 4*longest
	}
	if f.state() < StateEstablished {
		return f.Last + handshakeIdle
	}
	return f.Last + openIdle
}

// turn looks at every flow that is due up to the given second.
func (t *Table) turn(now int64) {
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
		if f.deadline() <= t.now {
			t.end(f)
		} else {
			t.reschedule(f)
		}
		if done {
			return
		}
	}
}
