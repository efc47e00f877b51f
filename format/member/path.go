package member

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// encodePath gives a path of the host in characters that a member's name may have: bytes
// of the others, and %, become %XX (RFC 3986 §2.1; SPEC.md, "Names"). Interfaces and what
// they are called are in paths, and the kernel takes almost any byte for them.
func encodePath(path string) string {
	if !strings.ContainsFunc(path, encoded) {
		return path // all but always
	}
	var b strings.Builder
	for i, r := range path {
		_, size := utf8.DecodeRuneInString(path[i:])
		if char := path[i : i+size]; !encoded(r) {
			b.WriteString(char)
		} else {
			for _, c := range []byte(char) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
	}
	return b.String()
}

// encoded tells what is no character of a name; invalid bytes come as U+FFFD, which is
// given up with them.
func encoded(r rune) bool { return r == '%' || r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r) }

// decodePath gives the path back. What is no %XX stays as it is: it was written before
// paths were encoded.
func decodePath(name string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(name, "%")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		var c byte
		if n, err := fmt.Sscanf(rest[:min(2, len(rest))], "%02X", &c); n != 1 || err != nil || len(rest) < 2 {
			b.WriteByte('%')
		} else {
			b.WriteByte(c)
			rest = rest[2:]
		}
		name = rest
	}
}
