package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/analyzer/cases"
)

// token is poison that stands in one word, as the name of an interface may: CSI and OSC
// with ESC and as C1, both as a byte and in UTF-8, the bidirectional and the invisible
// characters, tags, and a formula.
const token = "\x1b[31m\x1b]0;x\a\u009b2J\x9b2J\u202e\u202a\u2066\u2069\u200e\u200f\u061c\u200b\u2060\ufeff\u00ad\U000e0041\x7f\b\xff\xc3=cmd()"

// line is poison for texts, which may hold blanks and line ends of every kind.
const line = "=cmd() " + token + "\r\n\t\u0085\u2028\u2029 packets complete"

// poison says what becomes of the strings of a bundle.
type poison struct {
	text  string
	spare func(key, value string) bool // what stays, so that the rest is read
}

// times stay in all of them: without its times a manifest is refused as a whole.
var poisons = map[string]poison{
	"everything": {line, func(_, v string) bool { return isTime(v) }},
	"names": {token, func(key, v string) bool {
		_, err := netip.ParseAddr(v)
		return isTime(v) || err == nil || slices.Contains([]string{"at", "state", "family", "kind", "unit"}, key)
	}},
}

func isTime(v string) bool {
	_, err := time.Parse(time.RFC3339Nano, v)
	return err == nil
}

// evilNames are names of members that a reader has to refuse, or to write under another one.
var evilNames = []string{"\x1b[31m", "static/\u009b2J", "static/a\u202etxt.exe", "\u2066x", "a\u200b", "a\u2028b", "\ufeffx", "a\x9b"}

// poisoned gives the bundle of a real run, every string in it with poison.
func poisoned(t *testing.T, p poison) []byte {
	t.Helper()
	bundle, err := os.ReadFile("../../testdata/bundles/v1/listen-overflow.spike.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	var evil []cases.Extra
	for _, name := range evilNames {
		evil = append(evil, cases.Extra{Name: name, Content: []byte(line)})
	}
	out, err := cases.Repack(bundle, func(name string, data []byte) []byte { return p.member(name, plant(name, data)) }, evil...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// member poisons one member by its form.
func (p poison) member(name string, data []byte) []byte {
	switch {
	case strings.HasSuffix(name, ".json"):
		return p.json(data)
	case strings.HasSuffix(name, ".jsonl"):
		var out []byte
		for l := range bytes.Lines(data) {
			out = append(append(out, p.json(l)...), '\n')
		}
		return out
	case strings.HasSuffix(name, ".pcapng"):
		return bytes.ReplaceAll(data, []byte("eth0"), []byte("\x1b[3m")) // of the same length
	case name == "kmsg.txt" || p.text == line:
		return bytes.ReplaceAll(data, []byte("\n"), []byte(" "+p.text+"\n"))
	case name == "vitals.csv":
		return p.header(data)
	}
	for _, word := range []string{"eth0", "ListenDrops", "NET_RX", "NOT_SPECIFIED"} {
		data = bytes.ReplaceAll(data, []byte(word), []byte(word+p.text))
	}
	return data
}

// header poisons the names of the columns as the manifest's vitals are.
func (p poison) header(data []byte) []byte {
	first, rest, _ := bytes.Cut(data, []byte("\n"))
	names := strings.Split(string(first), ",")
	for i := range names[1:] {
		if !p.spare("name", names[i+1]) {
			names[i+1] = p.string(names[i+1])
		}
	}
	return append([]byte(strings.Join(names, ",")+"\n"), rest...)
}

// string poisons both ends: spreadsheets look at the first character.
func (p poison) string(s string) string {
	if s == "listen.overflows" || s == "" { // the one that replay names
		return s
	}
	return "=cmd()" + s + p.text
}

// json poisons every string, and the keys of what is named by strangers.
func (p poison) json(data []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return data
	}
	out, _ := json.Marshal(p.value("", v))
	// Marshal escapes some of it, which a stranger would not.
	for _, r := range "\u2028\u2029\x7f" {
		out = bytes.ReplaceAll(out, fmt.Appendf(nil, `\u%04x`, r), []byte(string(r)))
	}
	return bytes.ReplaceAll(out, []byte(`\ufffd`), []byte("\xff"))
}

func (p poison) value(key string, v any) any {
	switch v := v.(type) {
	case string:
		if p.spare(key, v) {
			return v
		}
		return p.string(v)
	case []any:
		for i := range v {
			v[i] = p.value(key, v[i])
		}
	case map[string]any:
		free := key == "details" || key == "config" || key == "statistics" || key == "by_state"
		for k, e := range v {
			delete(v, k)
			if free {
				v[k+p.text] = p.value(k, e)
				continue
			}
			v[k] = p.value(k, e)
		}
	}
	return v
}
