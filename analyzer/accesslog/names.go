package accesslog

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// byName finds fields by the names that the log itself writes before them, in any order:
//
//	203.0.113.7 - - [26/Nov/2026:04:07:10 +0000] "GET / HTTP/1.1" 200 612 "-" "curl" rt=0.004 uct="0.000" uht="0.004" urt="0.004"
//
// or as one JSON object a line (nginx's escape=json).
var byName = &Format{Name: "nginx", named: true}

// known gives the setter of a name.
func known(name string) (set, bool) {
	name = strings.ToLower(name)
	if long, ok := aliases[name]; ok {
		name = long
	}
	w, ok := nginx[name]
	return w.set, ok
}

// isDuration says of a name whether its value is one of nginx's, which always has a point: whole numbers are somebody else's
// milli- or microseconds.
func isDuration(name string) bool {
	return strings.HasSuffix(name, "_time") || aliases[name] != "" && strings.HasSuffix(aliases[name], "_time")
}

// byNamePorts is byName where a port stands behind each address at a line's begin.
var byNamePorts = &Format{Name: "nginx", named: true, ports: true}

// named reads a line by its names; ports says that addresses have one.
func (f *fields) named(line []byte, ports bool) bool {
	if len(line) > 0 && line[0] == '{' {
		return f.object(line)
	}
	client, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return false
	}
	end(client, ports, &f.Client)
	if server, _, ok := bytes.Cut(rest, []byte{' '}); ok { // $server_addr:$server_port, where the log has it: - otherwise
		end(server, ports, &f.Server)
	}
	// What stands before the time may be a stranger's name, and is not looked into: it may have brackets, but no quotes.
	head := line
	if quote := bytes.IndexByte(line, '"'); quote >= 0 {
		head = line[:quote]
	}
	open := bytes.LastIndexByte(head, '[')
	if open < 0 {
		return f.pairs(line)
	}
	length := bytes.IndexByte(line[open:], ']')
	if length < 0 || !f.stamp(clf, line[open+1:open+length], false) {
		return false
	}
	return f.pairs(line[open+length+1:])
}

// end takes an address, or one with a port behind it. Of IPv6 without brackets, as nginx writes $remote_addr:$remote_port,
// the last part may be either: there ports says which, see ported.
func end(v []byte, ports bool, to *netip.AddrPort) {
	a, plain := parseAddr(v)
	if at, ok := splitPort(v); ok && (ports || !plain) {
		*to = at
	} else if plain {
		*to = netip.AddrPortFrom(a, 0)
	}
}

// splitPort takes an address and a port apart, which stands behind the last colon.
func splitPort(v []byte) (netip.AddrPort, bool) {
	at := bytes.LastIndexByte(v, ':')
	if at <= 0 {
		return netip.AddrPort{}, false
	}
	a, ok := parseAddr(v[:at])
	port, err := strconv.ParseUint(string(v[at+1:]), 10, 16)
	return netip.AddrPortFrom(a, uint16(port)), ok && err == nil
}

// ported says whether a port stands behind the clients' addresses, as only the log as a whole shows: 2001:db8::1:4444 is an address,
// too. One line that cannot be read otherwise is enough: of IPv4, or of a port of five digits, as nearly all clients have.
func ported(lines [][]byte) bool {
	return slices.ContainsFunc(lines, func(line []byte) bool {
		client, _, _ := bytes.Cut(line, []byte{' '})
		_, plain := parseAddr(client)
		_, both := splitPort(client)
		return both && !plain
	})
}

// pairs takes what looks like name=value outside of quotes; the first text between quotes is the request, and behind it comes its
// status.
func (f *fields) pairs(rest []byte) bool {
	first, status := true, false
	for len(rest) > 0 {
		rest = bytes.TrimLeft(rest, " \t,;|")
		if len(rest) == 0 {
			break
		}
		if rest[0] == '"' {
			var text []byte
			if text, rest = quotedText(rest); first {
				first, status = false, f.what(text)
			}
			continue
		}
		end := bytes.IndexAny(rest, " =\t")
		if end < 0 {
			end = len(rest)
		}
		name := rest[:end]
		if rest = rest[end:]; len(rest) == 0 || rest[0] != '=' {
			if status {
				status = false
				if !f.status(name) {
					return false
				}
			}
			continue
		}
		var value []byte
		if rest = rest[1:]; len(rest) > 0 && rest[0] == '"' {
			value, rest = quotedText(rest)
		} else {
			value, rest = upTo(rest)
		}
		if !f.pair(string(name), value) {
			return false
		}
	}
	return true
}

// pair takes one value by its name; one that is not known says nothing.
func (f *fields) pair(name string, value []byte) bool {
	set, ok := known(name)
	if !ok || isDuration(name) && len(value) > 1 && !bytes.ContainsRune(value, '.') {
		return true
	}
	return set(f, value)
}

// upTo gives the text before the next blank. Times of several tries have blanks behind their commas and colons.
func upTo(rest []byte) (value, left []byte) {
	for i := range rest {
		if rest[i] == ' ' && (i == 0 || rest[i-1] != ',' && rest[i-1] != ':' && (i+1 >= len(rest) || rest[i+1] != ':')) {
			return rest[:i], rest[i:]
		}
	}
	return rest, nil
}

// quotedText gives the text between quotes and what is behind them; one that does not end reaches to the line's end.
func quotedText(rest []byte) (text, left []byte) {
	if end := find(rest[1:], []byte{'"'}); end >= 0 {
		return rest[1 : 1+end], rest[end+2:]
	}
	return rest[1:], nil
}

// object reads a line of JSON. Numbers may be texts.
func (f *fields) object(line []byte) bool {
	var all map[string]json.RawMessage
	if json.Unmarshal(line, &all) != nil {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		raw := all[name]
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		switch name = strings.ToLower(name); {
		case name == "time_local" || name == "time" || name == "timestamp" || name == "@timestamp":
			if !f.stamp(clf, []byte(text), false) && !f.stamp(time.RFC3339, []byte(text), false) && !f.epoch([]byte(text), time.Second, false) {
				return false
			}
		case name == "status" || name == "msec":
			if set, _ := known(name); !set(f, []byte(text)) {
				return false
			}
		default:
			if !f.pair(name, []byte(text)) {
				return false
			}
		}
	}
	return true
}
