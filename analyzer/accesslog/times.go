package accesslog

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"
)

// stamp takes a time as text. Servers cut the fraction of a second off: what has none may be a second later.
func (f *fields) stamp(layout string, v []byte, begin bool) bool {
	const longestStamp = 64
	if len(v) > longestStamp {
		return false
	}
	t, err := time.ParseInLocation(layout, string(v), f.local)
	if err != nil {
		return false
	}
	fine := time.Second
	if bytes.ContainsAny(v, ".,") {
		fine = time.Millisecond
	}
	return f.moment(t.UnixNano(), fine, begin)
}

// moment takes a time as Unix ns. Those before 1990 or after 2200 are no times of a request. Of several in a line the
// finest counts.
func (f *fields) moment(ns int64, fine time.Duration, begin bool) bool {
	const from, to = 20 * 365.25 * 24 * 3600 * 1e9, 230 * 365.25 * 24 * 3600 * 1e9
	if ns < from || ns > to {
		return false
	}
	if !f.stamped || fine < f.Fine {
		f.at, f.Fine, f.begin, f.stamped = ns, fine, begin, true
	}
	return true
}

// epoch takes a time as so many units since 1970, with a fraction or without.
func (f *fields) epoch(v []byte, unit time.Duration, begin bool) bool {
	whole, part, _ := bytes.Cut(v, []byte("."))
	s, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil || s < 0 || float64(s)*float64(unit) > 1<<62 {
		return false
	}
	ns := s * int64(unit)
	fine := unit
	if len(part) > 0 { // exactly: a float64 has not the digits of ns since 1970
		frac, err := strconv.ParseFloat("0."+string(part), 64)
		if err != nil {
			return false
		}
		ns += int64(frac*float64(unit) + 0.5)
		fine = unit / 1000
	}
	return f.moment(ns, fine, begin)
}

// number reads a duration of so many units of the given ns. "-" is none. A try that was broken off is -1 to HAProxy.
func number(v []byte, unit time.Duration) (time.Duration, bool) {
	v = bytes.TrimSpace(v)
	if len(v) == 0 || len(v) == 1 && v[0] == '-' || string(v) == "-1" {
		return unknown, true
	}
	const longestNumber = 24
	if len(v) > longestNumber {
		return 0, false
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil || !(x >= 0) || x*float64(unit) > float64(longest) {
		return 0, false
	}
	return time.Duration(x*float64(unit) + 0.5), true
}

// tries reads nginx's time of an upstream: several are separated by commas, and by colons after an internal
// redirect, one for each server that was asked (ngx_http_upstream_module). They were asked one after the other: the
// request waited for the sum.
func tries(v []byte) (sum time.Duration, ok bool) {
	sum = unknown
	for _, part := range bytes.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ':' }) {
		d, ok := number(part, time.Second)
		if !ok {
			return 0, false
		}
		if d >= 0 {
			sum = max(0, sum) + d
		}
	}
	return sum, sum <= longest
}

// address takes the client's address. What is none, a host's name or unix:, is no reason to leave the line out.
func (f *fields) address(v []byte) bool {
	if a, ok := parseAddr(v); ok {
		f.Client = netip.AddrPortFrom(a, f.Client.Port())
	}
	return true
}

// parseAddr reads an address as packets have it: without a zone, of IPv4 where it is one.
func parseAddr(v []byte) (netip.Addr, bool) {
	const longestAddress = 64
	if len(v) > longestAddress {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(string(bytes.Trim(v, "[]")))
	return a.Unmap().WithZone(""), err == nil
}

// port takes the client's port.
func (f *fields) port(v []byte) bool {
	if p, err := strconv.ParseUint(string(v), 10, 16); err == nil {
		f.Client = netip.AddrPortFrom(f.Client.Addr(), uint16(p))
	}
	return true
}

// serverAddress and serverPort take this end's.
func (f *fields) serverAddress(v []byte) bool {
	if a, ok := parseAddr(v); ok {
		f.Server = netip.AddrPortFrom(a, f.Server.Port())
	}
	return true
}

func (f *fields) serverPort(v []byte) bool {
	if p, err := strconv.ParseUint(string(v), 10, 16); err == nil {
		f.Server = netip.AddrPortFrom(f.Server.Addr(), uint16(p))
	}
	return true
}

// status takes the answer's. A request that was broken off has none: 000, -1 or -.
func (f *fields) status(v []byte) bool {
	n, err := strconv.Atoi(string(v))
	if err != nil {
		return string(v) == "-"
	}
	if n >= 100 && n < 1000 {
		f.Status = n
	}
	return n >= -1 && n < 1000
}

// what takes the request's first line, of which a report shows the begin.
func (f *fields) what(v []byte) bool {
	const shown = 200 // bytes
	f.What = v[:min(len(v), shown)]
	return true
}
