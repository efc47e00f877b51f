//go:build linux

package lab

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Param is a number of an incident that can be set by a flag of its name.
type Param struct {
	Name, Doc   string
	Small, Full string // the values of --scale small and full
	Load        bool   // it is a whole number of clients, or of what they do a second: --load multiplies it
}

// NewParam makes a parameter.
func NewParam(name, doc, small, full string) Param {
	return Param{Name: name, Doc: doc, Small: small, Full: full}
}

// NewLoad makes a parameter that --load multiplies.
func NewLoad(name, doc, small, full string) Param {
	return Param{Name: name, Doc: doc, Small: small, Full: full, Load: true}
}

// value is the parameter's at a scale, under a load.
func (p *Param) value(opt Options) string {
	v := p.Small
	if opt.Full {
		v = p.Full
	}
	if n, err := strconv.Atoi(v); err == nil && p.Load && opt.Load > 0 {
		return strconv.Itoa(max(1, int(math.Round(float64(n)*opt.Load))))
	}
	return v
}

// Baseline is the parameter that every incident has: how long Begin lets the hosts live
// in health before it. An incident that does nothing has words of its own for it.
func Baseline(small, full string) Param {
	return NewParam("baseline", "healthy time before the incident", small, full)
}

// Span is the parameter of an incident that no trigger of the recorder ends.
func Span(small, full string) Param {
	return NewParam("span", "how long it goes on before the bundle is cut", small, full)
}

// Number reads a parameter that is a whole number.
func (s *Stage) Number(name string) int {
	n, err := strconv.Atoi(s.params[name])
	s.check(wrapParam(name, err))
	return n
}

// Rate reads a parameter that is a whole number a second.
func (s *Stage) Rate(name string) float64 { return float64(s.Number(name)) }

// Duration reads a parameter as Go writes durations: "1500ms".
func (s *Stage) Duration(name string) time.Duration {
	d, err := time.ParseDuration(s.params[name])
	s.check(wrapParam(name, err))
	return d
}

// Size reads a parameter in bytes, with or without KiB or MiB.
func (s *Stage) Size(name string) int {
	text, shift := s.params[name], 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			text, shift = n, bits
		}
	}
	n, err := strconv.Atoi(text)
	s.check(wrapParam(name, err))
	return n << shift
}

// wrapParam names the flag that holds a bad value.
func wrapParam(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read parameter --%s: %w", name, err)
}
