//go:build linux

package recorder

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/trigger"
)

// reloadable are the flags that an armed recorder takes anew. The others are what its rings,
// programs and folders were opened with.
var reloadable = []string{
	"trigger", "rtt", "syn-recv", "kmsg", "cooldown", "max-per-day", "keep", "keep-bytes", "min-free", "conntrack-max",
}

// reloaded is a configuration that was read again, and parsed.
type reloaded struct {
	cfg      Config
	triggers []*trigger.Trigger
	patterns []*regexp.Regexp
	err      error
}

// rereads gives what reads the configuration again and hands it to the loop, or says that a SIGHUP means
// the end; nil where Config has none. It runs beside the loop: the file may lie where nobody answers.
func (c *Config) rereads(to chan<- reloaded) func(over <-chan struct{}) (ends bool) {
	if c.Reload == nil {
		return nil
	}
	read, hungUp := c.Reload, c.HungUp
	return func(over <-chan struct{}) (ends bool) {
		if hungUp != nil && hungUp() {
			return true
		}
		var next reloaded
		if next.cfg, next.err = read(); next.err == nil {
			next.triggers, next.patterns, next.err = next.cfg.check()
		}
		select {
		case to <- next:
		case <-over:
		}
		return false
	}
}

// mayReload is where configurations come from, but not while a bundle is written by the one that
// is, nor when it ends: then it is nil.
func (r *Recorder) mayReload() <-chan reloaded {
	if r.writing || r.stopping {
		return nil
	}
	return r.reloads
}

// reload goes on with another configuration, or with the one that it has where something in
// the other is wrong.
func (r *Recorder) reload(next reloaded) {
	if next.err == nil {
		next.err = r.hopeless(next.triggers, next.patterns)
	}
	if next.err != nil {
		for line := range strings.SplitSeq(next.err.Error(), "\n") {
			r.cfg.Log.Error("reload: " + line)
		}
		r.cfg.Log.Info("the configuration was not reloaded; it is armed as before")
		return
	}
	changed := differing(r.cfg.Flags, next.cfg.Flags)
	late := slices.DeleteFunc(slices.Clone(changed), func(flag string) bool { return slices.Contains(reloadable, flag) })
	if len(late) > 0 {
		r.cfg.Log.Warn("what takes a restart stays as it was: --" + strings.Join(late, ", --"))
	}
	// A copy: bundles that were cut hold the flags that they were cut with.
	r.cfg.Flags = maps.Clone(r.cfg.Flags)
	for _, flag := range reloadable {
		r.cfg.Flags[flag] = next.cfg.Flags[flag]
	}
	r.cfg.Triggers, r.cfg.Patterns = next.cfg.Triggers, next.cfg.Patterns
	r.cfg.Policy, r.cfg.Retention, r.cfg.Conntrack = next.cfg.Policy, next.cfg.Retention, next.cfg.Conntrack
	r.parsed, r.patterns = next.triggers, next.patterns
	r.asks = r.cfg.asked(next.triggers)
	r.triggers.Rearm(next.triggers, next.cfg.Policy, time.Now())
	r.store.Keep(next.cfg.Retention)
	r.doubt(next.triggers)
	r.say()
	r.manager.armed(r)
}

// differing names the flags whose values differ, sorted.
func differing(a, b map[string]format.Setting) (names []string) {
	for name := range b {
		if !reflect.DeepEqual(a[name], b[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
