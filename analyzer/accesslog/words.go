package accesslog

import (
	"bytes"
	"time"
)

// set takes the text of one field; false: the line is not of this format.
type set func(f *fields, v []byte) bool

// word is a field by the name that its server has for it.
type word struct {
	set  set
	time bool // it says when
	list bool // it may have blanks of its own

	address bool // it may have colons of its own
}

// ignored is a field that says nothing here.
func ignored(*fields, []byte) bool { return true }

const (
	// clf is the time of the Common Log Format: 06/Feb/2026:12:14:14 +0100.
	clf = "02/Jan/2006:15:04:05 -0700"
	// plainCLF is HAProxy's, in ms and by the host's zone: 06/Feb/2026:12:14:14.655.
	plainCLF = "02/Jan/2006:15:04:05"
)

// duration makes the setter of one that is a plain number of units.
func duration(unit time.Duration, of func(*fields) *time.Duration) set {
	return func(f *fields, v []byte) bool {
		d, ok := number(v, unit)
		*of(f) = d
		return ok
	}
}

// upstream makes the setter of nginx's times of tries.
func upstream(of func(*fields) *time.Duration) set {
	return func(f *fields, v []byte) bool {
		d, ok := tries(v)
		*of(f) = d
		return ok
	}
}

// Where durations go.
func took(f *fields) *time.Duration     { return &f.Took }
func queue(f *fields) *time.Duration    { return &f.Queue }
func connect(f *fields) *time.Duration  { return &f.Connect }
func header(f *fields) *time.Duration   { return &f.Header }
func response(f *fields) *time.Duration { return &f.Response }
func head(f *fields) *time.Duration     { return &f.head }
func wait(f *fields) *time.Duration     { return &f.wait }

// nginx are its variables (ngx_http_core_module, ngx_http_log_module, ngx_http_upstream_module). Its times are those
// at which the line was written, when the last byte had been sent.
var nginx = map[string]word{
	"remote_addr":            {set: (*fields).address, address: true},
	"remote_port":            {set: (*fields).port},
	"server_addr":            {set: (*fields).serverAddress, address: true},
	"server_port":            {set: (*fields).serverPort},
	"time_local":             {set: func(f *fields, v []byte) bool { return f.stamp(clf, v, false) }, time: true},
	"time_iso8601":           {set: func(f *fields, v []byte) bool { return f.stamp(time.RFC3339, v, false) }, time: true},
	"msec":                   {set: func(f *fields, v []byte) bool { return f.epoch(v, time.Second, false) }, time: true},
	"request":                {set: (*fields).what},
	"request_uri":            {set: (*fields).what},
	"status":                 {set: (*fields).status},
	"request_time":           {set: duration(time.Second, took)},
	"upstream_connect_time":  {set: upstream(connect), list: true},
	"upstream_header_time":   {set: upstream(header), list: true},
	"upstream_response_time": {set: upstream(response), list: true},
}

// aliases are the short names of the timing logs that are recommended all over.
var aliases = map[string]string{
	"rt": "request_time", "uct": "upstream_connect_time", "uht": "upstream_header_time", "urt": "upstream_response_time",
	"rp": "remote_port", "port": "remote_port", "client_port": "remote_port", "client": "remote_addr", "remote_ip": "remote_addr",
	"time": "time_iso8601", "@timestamp": "time_iso8601", "timestamp": "time_iso8601", "ts": "msec",
}

// haproxy are the words of its log-format. Its dates have ms and no zone, and are those at which a request
// began; the timers are in ms, with a + where the line was written before the end (option logasap).
var haproxy = map[string]word{
	"ci": {set: (*fields).address, address: true},
	"cp": {set: (*fields).port},
	"fi": {set: (*fields).serverAddress, address: true},
	"fp": {set: (*fields).serverPort},
	"t":  {set: begins(plainCLF), time: true}, // of the connection, with Tq and Tt
	"tr": {set: begins(plainCLF), time: true},
	"TR": {set: duration(time.Millisecond, head)},
	"Tq": {set: duration(time.Millisecond, head)},
	"Tw": {set: duration(time.Millisecond, queue)},
	"Tc": {set: duration(time.Millisecond, connect)},
	"Tr": {set: duration(time.Millisecond, wait)},
	"Ta": {set: total},
	"Tt": {set: total},
	"ST": {set: (*fields).status},
	"b":  {set: (*fields).what}, // of a session, which has no request
	"r":  {set: quotedWhat},
	"HU": {set: (*fields).what},
	"HP": {set: (*fields).what},
}

// begins makes the setter of a request's begin.
func begins(layout string) set {
	return func(f *fields, v []byte) bool { return f.stamp(layout, v, true) }
}

// quotedWhat is HAProxy's %r, behind captured headers where there are any, whose quotes are written as #22.
func quotedWhat(f *fields, v []byte) bool {
	if open, end := bytes.IndexByte(v, '"'), bytes.LastIndexByte(v, '"'); open >= 0 && end > open {
		v = v[open+1 : end]
	}
	return f.what(v)
}

// total is HAProxy's sum of a request.
func total(f *fields, v []byte) (ok bool) {
	if len(v) > 0 && v[0] == '+' {
		f.early, v = true, v[1:]
	}
	f.Took, ok = number(v, time.Millisecond)
	return ok
}

// apache are the directives of mod_log_config. Its %t is when the request was received.
var apache = map[string]word{
	"a":         {set: (*fields).address, address: true},
	"h":         {set: (*fields).address, address: true}, // with HostnameLookups off
	"{c}a":      {set: (*fields).address, address: true},
	"A":         {set: (*fields).serverAddress, address: true},
	"p":         {set: (*fields).serverPort},
	"{local}p":  {set: (*fields).serverPort},
	"{remote}p": {set: (*fields).port},
	"t":         {set: begins(clf), time: true},
	"r":         {set: (*fields).what},
	"s":         {set: (*fields).status},
	">s":        {set: (*fields).status},
	"D":         {set: duration(time.Microsecond, took)},
	"T":         {set: coarse},
	"{s}T":      {set: coarse},
	"{ms}T":     {set: duration(time.Millisecond, took)},
	"{us}T":     {set: duration(time.Microsecond, took)},

	"{sec}t":      {set: stamped(time.Second, true), time: true},
	"{msec}t":     {set: stamped(time.Millisecond, true), time: true},
	"{usec}t":     {set: stamped(time.Microsecond, true), time: true},
	"{end:sec}t":  {set: stamped(time.Second, false), time: true},
	"{end:msec}t": {set: stamped(time.Millisecond, false), time: true},
	"{end:usec}t": {set: stamped(time.Microsecond, false), time: true},
}

// coarse is Apache's whole seconds, rounded down: where the line has microseconds, too, those count.
func coarse(f *fields, v []byte) bool {
	d, ok := number(v, time.Second)
	if f.Took < 0 {
		f.Took = d
	}
	return ok
}

// stamped makes the setter of a time in units since 1970.
func stamped(unit time.Duration, begin bool) set {
	return func(f *fields, v []byte) bool { return f.epoch(v, unit, begin) }
}
