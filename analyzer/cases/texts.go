package cases

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// reading is a kernel text from a moment on.
type reading struct {
	path string
	from float64 // s
	text string
}

// texts makes the snapshots of all kernel texts but netstat: each second the last text that
// snapshots.txt tells of it, or that of quiet.txt. Both are blocks of a line "-- SECONDS PATH --" and
// the text from then on, byte for byte.
func (c *Case) texts(w *format.Writer) error {
	if s := c.source("snapshots"); s != nil && s.State != format.Partial && s.State != format.Complete {
		return nil
	}
	own, err := readings(filepath.Join(c.Dir, "snapshots.txt"))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("case %s: %w", c.Name, err)
	}
	quiet, err := readings(filepath.Join(c.Dir, "..", "quiet.txt"))
	if err != nil {
		return err
	}
	all := own
	if quiet, err = c.once(w, quiet); err != nil {
		return err
	}
	tables := map[string]string{"proc/net/netstat": "netstat.csv", "proc/net/snmp": "snmp.csv"}
	for _, q := range quiet {
		told := false
		if table := tables[q.path]; table != "" {
			_, err = os.Stat(filepath.Join(c.Dir, table))
			told = err == nil
		}
		if !told && !slices.ContainsFunc(own, func(r reading) bool { return r.path == q.path }) {
			all = append(all, q)
		}
	}
	moments, err := c.moments()
	if err != nil {
		return err
	}
	for _, at := range moments {
		for i, r := range all {
			later := slices.ContainsFunc(all[i+1:], func(o reading) bool { return o.path == r.path && o.from <= at })
			if r.from > at || later || r.text == "" {
				continue
			}
			if err := w.Add(member.SnapshotName(Start.Add(seconds(at)), r.path), []byte(r.text)); err != nil {
				return err
			}
		}
	}
	return nil
}

// moments are the times of snapshots: those of netstat.csv, where there is one, as a recorder that
// stood still reads nothing at all, and otherwise each second.
func (c *Case) moments() (all []float64, err error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, "netstat.csv"))
	if os.IsNotExist(err) {
		for at := 0.0; at <= c.Seconds; at++ {
			all = append(all, at)
		}
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	for _, row := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		offset, _, _ := strings.Cut(row, ",")
		at, err := strconv.ParseFloat(offset, 64)
		if err != nil {
			return nil, fmt.Errorf("case %s: netstat.csv: %w", c.Name, err)
		}
		all = append(all, at)
	}
	return all, nil
}

// once writes the members of quiet.txt that are no snapshots, where the case has none of its own and its
// source is complete, and gives the others.
func (c *Case) once(w *format.Writer, quiet []reading) (snapshots []reading, err error) {
	sources := map[string]string{member.ConntrackSummaryName: "conntrack", member.StaticFolder: "sysctl"}
	for _, q := range quiet {
		for prefix, source := range sources {
			if !strings.HasPrefix(q.path, prefix) {
				continue
			}
			if _, err := os.Stat(filepath.Join(c.Dir, filepath.FromSlash(q.path))); os.IsNotExist(err) && c.source(source) == nil {
				if err := w.Add(q.path, []byte(q.text)); err != nil {
					return nil, err
				}
			}
			q.path = ""
		}
		if q.path != "" {
			snapshots = append(snapshots, q)
		}
	}
	return snapshots, nil
}

// source is what the case says of a source, nil where it says nothing.
func (c *Case) source(name string) *format.Source {
	for i := range c.Sources {
		if c.Sources[i].Name == name {
			return &c.Sources[i]
		}
	}
	return nil
}

// readings reads blocks of texts.
func readings(path string) ([]reading, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []reading
	for n, line := range strings.SplitAfter(string(content), "\n") {
		head, ok := strings.CutPrefix(strings.TrimSuffix(line, " --\n"), "-- ")
		if !ok || !strings.HasSuffix(line, " --\n") {
			if len(all) > 0 {
				all[len(all)-1].text += line
			}
			continue
		}
		from, name, _ := strings.Cut(head, " ")
		at, err := strconv.ParseFloat(from, 64)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, n+1, err)
		}
		all = append(all, reading{path: name, from: at})
	}
	return all, nil
}

// times are those of rows in JSON.
var times = regexp.MustCompile(`"time": ?([0-9.]+)`)

// absoluteRows turns the times of JSON Lines from seconds into Unix ns; those that are ns stay.
func absoluteRows(text []byte) ([]byte, error) {
	var wrong error
	text = times.ReplaceAllFunc(text, func(field []byte) []byte {
		at, err := strconv.ParseFloat(string(times.FindSubmatch(field)[1]), 64)
		if err != nil {
			wrong = err
		}
		const year = 3e7 // s
		if at > year {
			return field
		}
		return fmt.Appendf(nil, `"time": %d`, Start.Add(seconds(at)).UnixNano())
	})
	return text, wrong
}
