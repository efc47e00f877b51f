//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
)

const (
	// configFile is read where it is there and --config names no other.
	configFile = "/etc/spikebox/spikeboxd.conf"
	// envPrefix has more than the program's name: for a service spikeboxd Kubernetes sets
	// SPIKEBOXD_PORT in every container.
	envPrefix = "SPIKEBOXD_FLAG_"
)

const settingsHelp = `Flags may stand in a file, too: --config, or ` + configFile + ` where that is
there. A line is a flag without its dashes and its value, as in

    ring 128MiB
    trigger listen.overflows > 0

and empty lines and those that begin with # are left out; quotes and a # behind a value
would be parts of it, and are refused. What is repeatable is given on several lines. In the environment ` + envPrefix + `SYN_RECV=250 is --syn-recv 250, and
what is repeatable has a line each. The command line wins over the environment, and that
over the file; a list that one of them gives replaces the others'.`

// setting is a flag's values from one place.
type setting struct {
	name   string
	values []string
	from   string // "spikeboxd.conf:12", "SPIKEBOXD_FLAG_RING"
}

// settle sets the flags that the command line has not: from the environment, and then from
// the file. It gives the places of those that it set, and every error, not the first alone.
func settle(flags *pflag.FlagSet, environ []string) (from map[string]string, errs []error) {
	from = map[string]string{}
	fill := func(all []setting, more []error) {
		errs = append(errs, more...)
		for _, s := range all {
			if flags.Changed(s.name) {
				continue
			}
			err := meantOtherwise(s)
			if err == nil {
				err = set(flags, s)
			}
			if err != nil {
				errs = append(errs, err)
			}
			from[s.name] = s.from
		}
	}
	fill(fromEnvironment(flags, environ))
	// After the environment, which may name the file.
	fill(fromFile(flags))
	return from, errs
}

// changed are the flags that the command line sets.
func changed(flags *pflag.FlagSet) (all []setting) {
	flags.Visit(func(f *pflag.Flag) {
		s := setting{f.Name, []string{f.Value.String()}, "--" + f.Name}
		if list, ok := f.Value.(lister); ok {
			s.values = list.GetSlice()
		}
		all = append(all, s)
	})
	return all
}

// set gives a flag its values.
func set(flags *pflag.FlagSet, s setting) error {
	for _, value := range s.values {
		if err := flags.Set(s.name, value); err != nil {
			return fmt.Errorf("%s: %w", s.from, cli.Wanted(err))
		}
	}
	return nil
}

// meantOtherwise refuses what a shell would take for quotes or a comment, and a file of flags for a part of the value: a folder of such a name
// would be made, and no line of the log ever match such a pattern. A command for bundles has quotes of its own, and the
// kernel writes " #" into its log.
func meantOtherwise(s setting) error {
	for _, v := range s.values {
		switch {
		case s.name == "on-bundle":
		case len(v) > 1 && strings.ContainsRune("'\"`", rune(v[0])) && v[0] == v[len(v)-1]:
			return fmt.Errorf("%s: %s %s: a value stands here without quotes", s.from, s.name, v)
		case s.name != "kmsg" && (strings.Contains(v, " #") || strings.Contains(v, "\t#")):
			return fmt.Errorf("%s: %s %q: a comment has a line of its own", s.from, s.name, v)
		}
	}
	return nil
}

func fromEnvironment(flags *pflag.FlagSet, environ []string) (all []setting, errs []error) {
	for _, entry := range environ {
		variable, value, _ := strings.Cut(entry, "=")
		word, ours := strings.CutPrefix(variable, envPrefix)
		if !ours {
			continue
		}
		name := strings.ToLower(strings.ReplaceAll(word, "_", "-"))
		flag := flags.Lookup(name)
		if flag == nil {
			errs = append(errs, noFlag(flags, variable, name))
			continue
		}
		s := setting{name, []string{strings.TrimSpace(value)}, variable}
		if isList(flag) && strings.TrimSpace(value) != "" {
			s.values = linesOf(value)
		}
		all = append(all, s)
	}
	return all, errs
}

// linesOf are the lines of a text that say something: a block of YAML ends in a newline, which is no value more.
func linesOf(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// fromFile reads the configuration file. That the usual one is not there is no error.
func fromFile(flags *pflag.FlagSet) ([]setting, []error) {
	path := flags.Lookup("config").Value.String()
	text, err := readConfig(path, configPatience)
	switch {
	case path == "" || errors.Is(err, fs.ErrNotExist) && !flags.Changed("config"):
		return nil, nil
	case err != nil:
		return nil, []error{fmt.Errorf("read the configuration: %w", err)}
	}
	return parseSettings(flags, path, string(text))
}

// configMost bounds what is read of a configuration, in bytes: a thousand triggers are 100 KB.
const configMost = 1 << 20

// wrongMost is how many lines are said to be wrong: more are another program's file.
const wrongMost = 20

// configPatience is how long a configuration may take to come, more than a busy disk needs. A named pipe that nobody
// writes to, or a file server that is away, is told of, and does not keep every later reload from being heard.
const configPatience = 10 * time.Second

// readConfig reads a file, or a pipe, if that is there in time.
func readConfig(path string, patience time.Duration) ([]byte, error) {
	type read struct {
		text []byte
		err  error
	}
	came := make(chan read, 1)
	go func() {
		text, err := readAll(path)
		came <- read{text, err}
	}()
	select {
	case r := <-came:
		return r.text, r.err
	case <-time.After(patience):
		return nil, fmt.Errorf("%s: nothing came within %v", path, patience)
	}
}

// readAll reads a configuration, and of what is none, such as a device, no more than one can have.
func readAll(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, configMost+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > configMost || bytes.IndexByte(text, 0) >= 0:
		return nil, fmt.Errorf("%s is none: want lines of text, of 1 MiB at most", path)
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), nil // as editors of Windows begin a file
}

// parseSettings reads the lines of a configuration file, whose name is for what is said of them.
func parseSettings(flags *pflag.FlagSet, path, text string) (all []setting, errs []error) {
	at := map[string]int{} // where in all a flag is
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for n := 1; lines.Scan(); n++ {
		if len(errs) == wrongMost {
			return all, append(errs, fmt.Errorf("%s: what is below line %d was not looked at: is it a configuration of spikeboxd?", path, n-1))
		}
		line, where := strings.TrimSpace(lines.Text()), fmt.Sprintf("%s:%d", path, n)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value := splitSetting(line)
		flag := flags.Lookup(name)
		before, given := at[name]
		if flag != nil && value == "" {
			value = flag.NoOptDefVal // as --once is on the command line
		}
		switch {
		case flag == nil:
			errs = append(errs, noFlag(flags, where, name))
		case name == "config":
			errs = append(errs, fmt.Errorf("%s: a configuration names no other", where))
		case !given:
			at[name] = len(all)
			all = append(all, setting{name, []string{value}, where})
		case isList(flag):
			all[before].values = append(all[before].values, value)
		default:
			errs = append(errs, fmt.Errorf("%s: %s is given at %s already, and takes one value", where, name, all[before].from))
		}
	}
	return all, errs
}

// splitSetting takes a line apart: "ring 64MiB", "ring = 64MiB" and "--ring=64MiB" mean the same.
func splitSetting(line string) (name, value string) {
	line = strings.TrimPrefix(line, "--")
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return line, ""
	}
	name, value = line[:end], strings.TrimSpace(line[end:])
	return name, strings.TrimSpace(strings.TrimPrefix(value, "="))
}

// isList says whether a flag is repeatable.
func isList(f *pflag.Flag) bool {
	_, list := f.Value.(lister)
	return list
}

// lister is what lists of values have, as pflag.SliceValue does.
type lister interface{ GetSlice() []string }

func noFlag(flags *pflag.FlagSet, where, name string) error {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return fmt.Errorf("%s: no such flag %q: %s", where, name, cli.Meant(name, names, "spikeboxd help run lists them"))
}
