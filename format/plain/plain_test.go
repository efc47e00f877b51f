package plain

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"
)

// hidden is one of each kind that a terminal would not just show.
var hidden = map[string]string{
	"\x00": `\u0000`, "\a": `\u0007`, "\b": `\u0008`, "\r": `\u000d`, "\x1b": `\u001b`, "\x7f": `\u007f`,
	"\u0080": `\u0080`, "\u0085": `\u0085`, "\u009b": `\u009b`, "\u009f": `\u009f`, // C1 in UTF-8
	"\x9b": "\ufffd", "\xff": "\ufffd", "\xe2\x80": "\ufffd\ufffd", "\xed\xa0\x80": "\ufffd\ufffd\ufffd", // no UTF-8, a surrogate
	"\u202a": `\u202a`, "\u202e": `\u202e`, "\u2066": `\u2066`, "\u2069": `\u2069`, "\u200e": `\u200e`, "\u200f": `\u200f`, "\u061c": `\u061c`,
	"\u200b": `\u200b`, "\u200d": `\u200d`, "\u2060": `\u2060`, "\ufeff": `\ufeff`, "\u00ad": `\u00ad`, "\u2028": `\u2028`, "\u2029": `\u2029`,
	"\u00a0": `\u00a0`, "\ue000": `\ue000`, "\U000e0041": `\udb40\udc41`, "\U0010ffff": `\udbff\udfff`,
}

func TestLine(t *testing.T) {
	for in, want := range hidden {
		if got := Line("a" + in + "b"); got != "a"+want+"b" {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	for _, shown := range []string{"", "web1, 7 µs – │ ▁ 東京 é \ufffd \\ \"", "e\u0301"} {
		if got := Line(shown); got != shown {
			t.Errorf("%q is %q", shown, got)
		}
	}
	if got := Row("a\tb", "c\nd"); got != `a\u0009b`+"\t"+`c\u000ad` {
		t.Errorf("row %q", got)
	}
}

// Eight bytes are looked at as each would be.
func TestPrintable(t *testing.T) {
	shown := func(c byte) bool { return c >= ' ' && c < 0x7f }
	for at := range 7 {
		for pair := range 1 << 16 {
			text := []byte("........")
			text[at], text[at+1] = byte(pair>>8), byte(pair)
			if got, want := printable(text), shown(text[at]) && shown(text[at+1]); got != want {
				t.Fatalf("%q prints: %v", text, got)
			}
		}
	}
}

// However a text is cut into writes, the same comes out: a character in two of them is one.
func TestWriterIsCutAnywhere(t *testing.T) {
	text, want := "", ""
	for in, out := range hidden {
		text, want = text+"µ"+in+"x\n\t", want+"µ"+out+"x\n\t"
	}
	text, want = text+"\xe2\x80", want+"\ufffd\ufffd"
	for size := 1; size < 8; size++ {
		var out bytes.Buffer
		w := NewWriter(&out)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if got, err := w.Write([]byte(rest[:n])); got != n || err != nil {
				t.Fatal(got, err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil || out.String() != want {
			t.Errorf("in pieces of %d: %v, %q, want %q", size, err, out.String(), want)
		}
	}
	if w := NewWriter(&bytes.Buffer{}); NewWriter(w) != w {
		t.Error("a door behind a door")
	}
	if _, err := NewWriter(iotest.TruncateWriter(failing{}, 0)).Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := NewWriter(failing{}).Write([]byte("x")); err == nil {
		t.Error("an error of the writer behind is lost")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }

// Only spans paint: what a text holds of it is escaped, inside of them and outside.
func TestLinePaints(t *testing.T) {
	for paint, want := range map[bool]string{
		true:  "\x1b[1;31ma\\u001b[0m\\u000a\x1b[0m b\n",
		false: "a\\u001b[0m\\u000a b\n",
	} {
		var out bytes.Buffer
		if err := NewWriter(&out).Line(paint, Span{Alarm, "a\x1b[0m\n"}, Span{Normal, " b  "}, Span{Bold, ""}); err != nil || out.String() != want {
			t.Errorf("painted %v: %v, %q, want %q", paint, err, out.String(), want)
		}
	}
}

// A spreadsheet calculates nothing of it; numbers stay numbers.
func TestCell(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "eth0": "eth0", "-1.5": "-1.5", "+3": "+3", "1e-7": "1e-7", "a-b": "a-b", "10.0.0.1": "10.0.0.1", "a;b": "a;b",
		"=cmd()": "'=cmd()", "+cmd()": "'+cmd()", "-2+3": "'-2+3", "@SUM(1)": "'@SUM(1)", "＝1": "'＝1", "\t=1": `\u0009=1`, "\r=1": `\u000d=1`,
		" =1": " '=1", `"=1`: `"'=1`, "a;=1": "a;'=1", "a;;-x": "a;;'-x", "a;b=1": "a;b=1",
	} {
		if got := cell(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	var out bytes.Buffer
	c := NewCSV(&out)
	if c.Write([]string{"a,b", "=x\n"}) != nil || c.Flush() != nil || out.String() != "\"a,b\",'=x\\u000a\n" {
		t.Errorf("%q", out.String())
	}
}

// Whatever goes through, only shown characters come out, JSON stays what it was, and what
// has passed passes again.
func FuzzWriter(f *testing.F) {
	for in := range hidden {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var out bytes.Buffer
		w := NewWriter(&out)
		w.Write([]byte(s))
		w.Flush()
		got := out.String()
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
			t.Errorf("%q lets through %q", s, got)
		}
		if again := string(appendPlain(nil, []byte(got), layout)); again != got {
			t.Errorf("%q becomes %q", got, again)
		}
		encoded, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		if json.Unmarshal(encoded, &before) != nil || json.Unmarshal(appendPlain(nil, encoded, layout), &after) != nil || before != after {
			t.Errorf("JSON %q is %q, want %q", encoded, after, before)
		}
	})
}
