//go:build linux

package recorder

import "github.com/spikebox/spikebox/recorder/budget"

// SetGauge puts something else in the place of what measures the CPU budget.
func (c *Config) SetGauge(f func(*budget.Meter) budget.Gauge) { c.gauge = f }

// SetShed puts something else in the place of what takes probes off and back.
func (c *Config) SetShed(f func(func(probe string, off bool) error) func(string, bool) error) {
	c.shed = f
}
