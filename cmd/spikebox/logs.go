package main

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/accesslog"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

// logFlags say which servers' logs are laid beside the rest.
type logFlags struct {
	paths  []string
	format formatFlag
	zone   zoneFlag
}

// add defines the flags.
func (l *logFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&l.paths, "logs", nil, "access log of nginx, HAProxy or Apache, also .gz and .zst; \"-\" is standard input; repeatable")
	flags.Var(&l.format, "log-format", "how its lines are written, in the server's own words: nginx's log_format, Apache's LogFormat, HAProxy's log-format")
	flags.Var(&l.zone, "log-tz", "`ZONE` of times without one, as HAProxy's; UTC if not given")
}

// check refuses flags that would do nothing.
func (l *logFlags) check() error {
	if len(l.paths) == 0 && (l.format.Format != nil || l.zone.Location != nil) {
		return cli.Usagef("--log-format and --log-tz say how --logs is to be read, which is missing")
	}
	return nil
}

// read gives what evidence wants.
func (l *logFlags) read() evidence.Logs {
	return evidence.Logs{Paths: l.paths, Options: accesslog.Options{Format: l.format.Format, Zone: l.zone.Location}}
}

// formatFlag is a log's format.
type formatFlag struct {
	*accesslog.Format
	text string
}

// String gives what was given.
func (f *formatFlag) String() string { return f.text }

// Set compiles it.
func (f *formatFlag) Set(text string) (err error) {
	if text == "" {
		return errors.New("log format: it is empty")
	}
	f.text = text
	f.Format, err = accesslog.Compile(text)
	return err
}

// Type is what help calls it.
func (f *formatFlag) Type() string { return "text" }
