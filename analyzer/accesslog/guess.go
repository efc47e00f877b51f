package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// must compiles a format of ours.
func must(text string) *Format {
	f, err := Compile(text)
	if err != nil {
		panic(err) // TestKnown
	}
	return f
}

// known formats are tried where nobody said which it is.
var (
	haproxyHTTP = must(`%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %{+Q}r`)
	haproxyTCP  = must(`%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq`)
	// Apache's common and combined with a number behind it, as its documentation recommends.
	apacheCombined = must(`%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D`)
	apacheCommon   = must(`%h %l %u %t "%r" %>s %b %D`)
	apacheBoth     = must(`%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %T/%D`)

	candidates = []*Format{haproxyHTTP, haproxyTCP, byName, apacheBoth, apacheCombined, apacheCommon}
	// withPorts are those that may have the client's port behind its address, and how they are read then.
	withPorts = map[*Format]*Format{
		byName:         byNamePorts,
		apacheCombined: must(`%h:%{remote}p %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D`),
		apacheCommon:   must(`%h:%{remote}p %l %u %t "%r" %>s %b %D`),
		apacheBoth:     must(`%h:%{remote}p %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %T/%D`),
	}
	// untimed is what most servers write by default.
	untimed = []byte("] \"")
)

// guess finds the format that most lines are of.
func guess(lines [][]byte, zone *time.Location) (*Format, error) {
	var best *Format
	var took []time.Duration
	for _, f := range candidates {
		all := fields{local: zone}
		var these []time.Duration
		for _, line := range lines {
			if r, ok := f.read(line, &all); ok {
				these = append(these, r.Took)
			}
		}
		if len(these) > len(took) {
			best, took = f, these
		}
	}
	switch {
	case best == nil && slices.ContainsFunc(lines, func(line []byte) bool { return bytes.Contains(line, untimed) }):
		return nil, errors.New("it does not say how long requests took, as far as can be told without --log-format: nginx wants rt=$request_time in its log_format, Apache %D in its LogFormat")
	case best == nil:
		return nil, fmt.Errorf("its lines are none of nginx's, HAProxy's or Apache's that are known: give the server's own words for them with --log-format; the first is %q", short(lines[0]))
	case best == apacheCombined || best == apacheCommon:
		// %D and %T look alike. Half of all requests of a server do not last a hundred seconds.
		slices.Sort(took)
		if took[len(took)/2] < 100*time.Microsecond {
			return nil, errors.New(`the numbers at the end of its lines may be microseconds (%D) or seconds (%T): say which with --log-format '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D'`)
		}
	}
	if with := withPorts[best]; with != nil && ported(lines) {
		return with, nil
	}
	return best, nil
}
