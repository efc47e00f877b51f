package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Format says how the lines of a log are written.
type Format struct {
	Name  string // nginx, HAProxy, Apache
	Local bool   // its times tell no zone

	begin  []byte // before the first field
	pieces []piece
	named  bool // fields are found by their names, see names.go
	ports  bool // of a named one: addresses have a port behind them
	syslog bool // a syslog daemon's words may stand before it
}

// piece is a field, and the text behind it.
type piece struct {
	set  set
	then []byte
	list bool // it may have blanks of its own: nginx's times of several tries

	address bool // colons
}

// dialect is how a server's own configuration writes formats.
type dialect struct {
	name  string
	words map[string]word
	// field finds one; its name is the first group that is not empty.
	field         *regexp.Regexp
	local, syslog bool // as of Format
}

var (
	nginxDialect = &dialect{name: "nginx", words: nginx, field: regexp.MustCompile(`\$(?:(\w+)|\{(\w+)\})`)}
	// Flags before a name say how it is quoted.
	haproxyDialect = &dialect{name: "HAProxy", words: haproxy, local: true, syslog: true, field: regexp.MustCompile(`%(?:\{[^}]*\})?(?:(\[[^\]]*\])|([A-Za-z]+))`)}
	apacheDialect  = &dialect{name: "Apache", words: apache, field: regexp.MustCompile(`%(?:!?[0-9]+(?:,[0-9]+)*)?[<]?(>?(?:\{[^}]*\})?(?:\^t[io]|[a-zA-Z]))`)}
)

// Compile reads a format as the server's configuration has it: nginx's log_format, with its name and quotes or
// without; Apache's LogFormat; HAProxy's log-format.
func Compile(text string) (*Format, error) {
	d, text := dialectOf(unquoted(text))
	if d == nil {
		return nil, errors.New(`log format: want nginx's, as '$remote_addr … $request_time', Apache's, as '%h … %D', or HAProxy's, as '%ci:%cp [%tr] … %TR/%Tw/%Tc/%Tr/%Ta'`)
	}
	return d.compile(text)
}

// dialectOf tells by its words whose format it is; nil: nobody's.
func dialectOf(text string) (*dialect, string) {
	switch {
	case strings.Contains(text, "$"):
		return nginxDialect, text
	case regexp.MustCompile(`%(?:\{[^}]*\})?(?:ci|cp|tr|Ta|Tt|TR|Tw)\b`).MatchString(text):
		// Captured headers are there or not, and %r finds itself behind them.
		return haproxyDialect, strings.NewReplacer("%hr ", "", "%hs ", "").Replace(text)
	case strings.Contains(text, "%"):
		// In httpd.conf it stands between quotes, and its own are escaped.
		return apacheDialect, strings.ReplaceAll(text, `\"`, `"`)
	}
	return nil, text
}

// unquoted takes a configuration's line apart: log_format timing '…' '…'; has the format in pieces between quotes.
func unquoted(text string) string {
	text = strings.TrimSpace(text)
	for _, directive := range []string{"log_format", "LogFormat", "log-format"} {
		if rest, ok := strings.CutPrefix(text, directive); ok {
			text = strings.TrimSpace(rest)
			if at := strings.IndexAny(text, `'"`); at > 0 {
				text = text[at:]
			}
		}
	}
	text = strings.TrimRight(text, "; \t\n")
	switch {
	case strings.HasPrefix(text, "'"):
		var all strings.Builder
		for part := range strings.SplitSeq(text, "'") {
			if strings.TrimSpace(part) != "" {
				all.WriteString(part)
			}
		}
		return all.String()
	case strings.HasPrefix(text, `"`):
		// Behind the quotes stands at most the format's name; a format may begin with quotes of its own.
		if inner, name := quotedText([]byte(text)); len(strings.Fields(string(name))) <= 1 && !bytes.HasPrefix(name, []byte(" %")) {
			return string(inner)
		}
	}
	return text
}

// compile turns a text into fields with what stands between them.
func (d *dialect) compile(text string) (*Format, error) {
	f := &Format{Name: d.name, Local: d.local, syslog: d.syslog}
	at := 0
	timed, lasts := false, false
	for _, m := range d.field.FindAllStringSubmatchIndex(text, -1) {
		between, name := text[at:m[0]], group(text, m)
		w, known := d.words[name]
		if !known {
			w.set = ignored
		}
		if d == apacheDialect && name == "t" { // it brings its own brackets
			between, w = between+"[", apache["t"]
		}
		if len(f.pieces) == 0 {
			f.begin = []byte(between)
		} else {
			f.pieces[len(f.pieces)-1].then = append(f.pieces[len(f.pieces)-1].then, between...)
			if len(f.pieces[len(f.pieces)-1].then) == 0 {
				return nil, fmt.Errorf("log format: nothing stands between %q and the field before it", text[m[0]:m[1]])
			}
		}
		p := piece{set: w.set, list: w.list, address: w.address}
		if d == apacheDialect && name == "t" {
			p.then = []byte("]")
		}
		f.pieces = append(f.pieces, p)
		timed = timed || w.time
		lasts = lasts || durationWords[name]
		at = m[1]
	}
	if n := len(f.pieces); n > 0 {
		f.pieces[n-1].then = append(f.pieces[n-1].then, text[at:]...)
	}
	switch {
	case !timed:
		return nil, fmt.Errorf("log format: it has no time: %s", timeWords[d.name])
	case !lasts:
		return nil, fmt.Errorf("log format: it does not say how long requests took: %s", lastWords[d.name])
	}
	return f, nil
}

// What each server calls them, for those who lack them.
var (
	timeWords     = map[string]string{"nginx": "want $time_local, $time_iso8601 or $msec", "HAProxy": "want %tr or %t", "Apache": "want %t"}
	lastWords     = map[string]string{"nginx": "want $request_time", "HAProxy": "want %Ta or %Tt", "Apache": "want %D or %T"}
	durationWords = map[string]bool{"request_time": true, "Ta": true, "Tt": true, "D": true, "T": true, "{s}T": true, "{ms}T": true, "{us}T": true}
)

// group gives the field's name.
func group(text string, m []int) string {
	for i := 2; i+1 < len(m); i += 2 {
		if m[i] >= 0 {
			return text[m[i]:m[i+1]]
		}
	}
	return ""
}

// parse reads a line into the fields; false: it is not of this format.
func (f *Format) parse(line []byte, into *fields) bool {
	if f.named {
		return into.named(line, f.ports)
	}
	if f.syslog {
		line = afterSyslog(line)
	}
	rest, ok := bytes.CutPrefix(line, f.begin)
	if !ok {
		return false
	}
	left := attempts
	return f.match(0, rest, into, &left)
}

// attempts bounds how often a line is tried in another way.
const attempts = 64

// match reads the fields from one on. A stranger's name may hold what stands behind it, too: where the rest does not
// fit, the field goes on to the next such place.
func (f *Format) match(i int, rest []byte, into *fields, left *int) bool {
	if i == len(f.pieces) {
		return true
	}
	p := &f.pieces[i]
	if len(p.then) == 0 {
		return p.set(into, rest)
	}
	for from := 0; *left > 0; *left-- {
		end := f.end(i, rest, from)
		if end < 0 {
			return false
		}
		if p.set(into, rest[:end]) && f.match(i+1, rest[end+len(p.then):], into, left) {
			return true
		}
		from = end + 1
	}
	return false
}

// end gives where a field ends that reaches beyond from, negative: nowhere.
func (f *Format) end(i int, rest []byte, from int) int {
	p := &f.pieces[i]
	switch {
	case p.list && p.then[0] == ' ':
		value, _ := upTo(rest)
		if end := len(value); end >= from && bytes.HasPrefix(rest[end:], p.then) {
			return end
		}
		return -1
	case p.address && string(p.then) == ":" && from == 0 && i+1 < len(f.pieces): // an address of IPv6 has colons of its own
		until := len(rest)
		if then := f.pieces[i+1].then; len(then) > 0 {
			until = max(0, bytes.Index(rest, then))
		}
		return bytes.LastIndexByte(rest[:until], ':')
	}
	if from > len(rest) {
		return -1
	}
	if end := find(rest[from:], p.then); end >= 0 {
		return from + end
	}
	return -1
}

// find gives the index of what stands behind a field. A quote that the server has escaped, as \", is the field's own.
func find(in, then []byte) int {
	if then[0] != '"' {
		return bytes.Index(in, then)
	}
	for i := 0; i < len(in); i++ {
		if in[i] == '\\' {
			i++
			continue
		}
		if bytes.HasPrefix(in[i:], then) {
			return i
		}
	}
	return -1
}

// afterSyslog leaves out what a syslog daemon writes before a message, which ends with the program's name and its
// pid: "Feb  6 12:14:14 edge haproxy[14389]: ".
func afterSyslog(line []byte) []byte {
	const longestHead = 256
	head := line[:min(len(line), longestHead)]
	if at := bytes.Index(head, []byte("]: ")); at >= 0 && !bytes.ContainsRune(head[:at], '/') {
		return line[at+3:]
	}
	return line
}
