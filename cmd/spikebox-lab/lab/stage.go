//go:build linux

package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"
	"time"
)

// stage is one run: the hosts, the children that play on them, and the truth.
//
// Its methods, and the functions of the incidents, read as a script: an error ends
// the script at once, by a panic with a failure in it, which play alone catches.
type stage struct {
	ctx    context.Context
	opt    Options
	truth  *Truth
	params map[string]string
	router *host
	hosts  []*host // the router included
	cast   []*child
	rec    *recorder
	seeds  uint64 // drawn so far
	// scratch is a folder for what is not worth keeping, the recorder's control socket.
	scratch string
}

// failure is how check leaves a script.
type failure struct{ err error }

// check ends the script if err is not nil.
func (s *stage) check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// play runs a script and returns the error that ended it.
func (s *stage) play(script func(*stage)) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r.err
		default:
			panic(r)
		}
	}()
	script(s)
	return nil
}

// newStage takes the parameters of the scale, and those of the options over them.
func newStage(ctx context.Context, inc *Incident, opt Options) (*stage, error) {
	s := &stage{ctx: ctx, opt: opt, params: map[string]string{}}
	for _, p := range inc.Params {
		s.params[p.Name] = p.Small
		if opt.Full {
			s.params[p.Name] = p.Full
		}
	}
	maps.Copy(s.params, opt.Params)
	s.truth = newTruth(inc, opt, s.params)
	var err error
	if s.scratch, err = os.MkdirTemp("", "spikebox-lab-"); err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	return s, nil
}

// close ends the children, last come first, and then the hosts.
func (s *stage) close() {
	if s.rec != nil {
		s.rec.kill()
	}
	for i := len(s.cast) - 1; i >= 0; i-- {
		s.cast[i].kill()
	}
	for _, h := range s.hosts {
		h.close()
	}
	os.RemoveAll(s.scratch)
}

// begin marks the start of the incident: everything before it is the baseline, and
// no trigger is right before it.
func (s *stage) begin(what string, a ...any) {
	s.mark("start")
	s.step(what, a...)
	s.truth.Trigger.NotBefore = time.Now().UnixNano()
}

// step writes down what is done now.
func (s *stage) step(what string, a ...any) {
	text := fmt.Sprintf(what, a...)
	s.log("%s", text)
	s.truth.step(text)
}

// mark reads the kernel's counters on every host.
func (s *stage) mark(name string) {
	for _, h := range s.hosts {
		c, err := h.counters()
		s.check(err)
		s.truth.count(h, name, c)
	}
}

// sleep waits for d, or ends the script when the run is interrupted.
func (s *stage) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
		s.check(context.Cause(s.ctx))
	case <-t.C:
	}
}

// until waits for cond, looked at 20 times a second, for at most limit.
func (s *stage) until(what string, limit time.Duration, cond func() bool) {
	for start := time.Now(); !cond(); s.sleep(50 * time.Millisecond) {
		if time.Since(start) > limit {
			s.check(fmt.Errorf("wait for %s: nothing within %v", what, limit))
		}
	}
}

// log tells the operator, not the truth.
func (s *stage) log(format string, a ...any) {
	if s.opt.Log != nil {
		fmt.Fprintf(s.opt.Log, format+"\n", a...)
	}
}

// seed draws the next seed of the run for a part of it.
func (s *stage) seed() uint64 {
	s.seeds++
	return s.opt.Seed<<8 + s.seeds
}

// number, duration and size read a parameter of the incident.
func (s *stage) number(name string) int {
	n, err := strconv.Atoi(s.params[name])
	s.check(wrapParam(name, err))
	return n
}

func (s *stage) duration(name string) time.Duration {
	d, err := time.ParseDuration(s.params[name])
	s.check(wrapParam(name, err))
	return d
}

// wrapParam names the flag that holds a bad value.
func wrapParam(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read parameter --%s: %w", name, err)
}
