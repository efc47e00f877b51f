//go:build linux

package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"time"
)

// Stage is one run: the hosts, the children that play on them, and the truth.
//
// Its methods, those of its hosts and children, and the functions of the incidents read
// as a script: an error ends the script at once, by a panic with a failure in it, which
// play alone catches. None of them may be called from another goroutine, where nothing
// would catch it.
type Stage struct {
	ctx    context.Context
	opt    Options
	truth  *Truth
	params map[string]string
	hosts  []*Host // in the order of their making, the router first
	cast   []*Child
	groups []string // control groups, to be removed
	rec    *recorder
	seeds  uint64 // drawn so far
	// scratch is a folder for what is not worth keeping, the recorder's control socket.
	scratch string
}

// failure is how check leaves a script.
type failure struct{ err error }

// check ends the script if err is not nil.
func (s *Stage) check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// Fail ends the script.
func (s *Stage) Fail(what string, a ...any) { s.check(fmt.Errorf(what, a...)) }

// play runs a script and returns the error that ended it.
func (s *Stage) play(script func(*Stage)) (err error) {
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
func newStage(ctx context.Context, inc *Incident, opt Options) (*Stage, error) {
	s := &Stage{ctx: ctx, opt: opt, params: map[string]string{}}
	for _, p := range inc.Params {
		s.params[p.Name] = p.value(opt)
	}
	maps.Copy(s.params, opt.Params)
	s.truth = newTruth(inc, opt, s.params)
	var err error
	if s.scratch, err = os.MkdirTemp("", "spikebox-lab-"); err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	return s, nil
}

// load is what multiplies clients and their rates.
func (s *Stage) load() float64 {
	if s.opt.Load > 0 {
		return s.opt.Load
	}
	return 1
}

// close ends the children, last come first, and then the hosts.
func (s *Stage) close() {
	if s.rec != nil {
		s.rec.kill()
	}
	for i := len(s.cast) - 1; i >= 0; i-- {
		s.cast[i].kill()
	}
	s.release()
	for _, h := range s.hosts {
		h.close()
	}
	os.RemoveAll(s.scratch)
}

// Begin lets the baseline pass and marks the start of the incident: everything before it
// is healthy, and no trigger is right before it. The words are its first step in the
// truth; what they say is done next, by the caller.
func (s *Stage) Begin(what string, a ...any) {
	s.Sleep(s.Duration("baseline"))
	s.mark("start")
	s.Step(what, a...)
	s.truth.Trigger.NotBefore = time.Now().UnixNano()
}

// Step writes down what is done now.
func (s *Stage) Step(what string, a ...any) {
	text := fmt.Sprintf(what, a...)
	s.log("%s", text)
	s.truth.step(text)
}

// ExpectNoEffects takes the root's effects out of what is expected, where the parameters
// of this run make the incident too small for them.
func (s *Stage) ExpectNoEffects() { s.truth.Expected.Effects = []string{} }

// NeedTwoCPUs ends the script on a machine where packets cannot be steered from one CPU
// to another.
func (s *Stage) NeedTwoCPUs() {
	if runtime.NumCPU() < 2 {
		s.Fail("steer packets to another CPU: this machine has only one")
	}
}

// mark reads the kernel's counters on every host.
func (s *Stage) mark(name string) {
	for _, h := range s.hosts {
		c, err := h.counters()
		s.check(err)
		s.truth.count(h, name, c)
	}
}

// Sleep waits for d, or ends the script when the run is interrupted.
func (s *Stage) Sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
		s.check(context.Cause(s.ctx))
	case <-t.C:
	}
}

// Until waits for cond, looked at 20 times a second, for at most limit.
func (s *Stage) Until(what string, limit time.Duration, cond func() bool) {
	for start := time.Now(); !cond(); s.Sleep(50 * time.Millisecond) {
		if time.Since(start) > limit {
			s.check(fmt.Errorf("wait for %s: nothing within %v", what, limit))
		}
	}
}

// log tells the operator, not the truth.
func (s *Stage) log(format string, a ...any) {
	if s.opt.Log != nil {
		fmt.Fprintf(s.opt.Log, format+"\n", a...)
	}
}

// seed draws the next seed of the run for a part of it.
func (s *Stage) seed() uint64 {
	s.seeds++
	return s.opt.Seed<<8 + s.seeds
}
