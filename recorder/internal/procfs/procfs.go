//go:build linux

// Package procfs reads kernel text files again and again without opening them again
// and without allocating, and picks the few numbers that a vital needs. Everything
// else about these texts is the analyzer's work.
package procfs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// File is a kernel text file that is kept open. Reading a seq_file at offset 0 makes
// the kernel print it anew (fs/seq_file.c, seq_read_iter).
type File struct {
	f   *os.File
	buf []byte
}

// Open opens path below root ("/" on a live system, a fixture tree in tests).
func Open(root, path string) (*File, error) {
	f, err := os.Open(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	return &File{f: f, buf: make([]byte, 0, 8<<10)}, nil
}

// Read gives the file's text as it is now. The slice is valid until the next Read.
func (p *File) Read() ([]byte, error) {
	p.buf = p.buf[:0]
	for {
		if len(p.buf) == cap(p.buf) {
			p.buf = append(p.buf, 0)[:len(p.buf)]
		}
		n, err := p.f.ReadAt(p.buf[len(p.buf):cap(p.buf)], int64(len(p.buf)))
		p.buf = p.buf[:len(p.buf)+n]
		if n == 0 {
			if err != nil && err != io.EOF {
				return nil, fmt.Errorf("read %s: %w", p.f.Name(), err)
			}
			return p.buf, nil
		}
	}
}

// Name is the path that the file was opened by.
func (p *File) Name() string { return p.f.Name() }

// Close closes the file.
func (p *File) Close() error { return p.f.Close() }

// Table picks columns by name out of the two-line form of /proc/net/netstat and
// /proc/net/snmp (net/ipv4/proc.c: a line of names, then a line of values, both
// with the same prefix). A column that the kernel does not have stays 0.
type Table struct {
	Columns []string // "TcpExt:ListenOverflows"
	index   [][]int  // per pair of lines: column -> position in Columns, or -1
}

// Pick puts the values of Columns, in their order, into out.
func (t *Table) Pick(text []byte, out []uint64) error {
	clear(out)
	for pair := 0; len(text) > 0; pair++ {
		var names, values []byte
		names, text = Line(text)
		values, text = Line(text)
		prefix, _, ok := bytes.Cut(names, []byte(":"))
		if !ok || !bytes.HasPrefix(values, prefix) {
			return fmt.Errorf("lines %d and %d are not names and values of one table", 2*pair+1, 2*pair+2)
		}
		for i, field := 0, values[len(prefix)+1:]; len(field) > 0; i++ {
			var word []byte
			word, field = Word(field)
			if at := t.column(pair, names, i); at >= 0 {
				out[at] = Uint(word)
			}
		}
	}
	return nil
}

// column gives the place in Columns of value i of a pair of lines, from an index
// that is made once: the kernel's tables do not change while it runs.
func (t *Table) column(pair int, names []byte, i int) int {
	for len(t.index) <= pair {
		t.index = append(t.index, nil)
	}
	if t.index[pair] == nil {
		t.index[pair] = t.makeIndex(names)
	}
	if i >= len(t.index[pair]) {
		return -1
	}
	return t.index[pair][i]
}

func (t *Table) makeIndex(names []byte) []int {
	prefix, rest, _ := bytes.Cut(names, []byte(":"))
	index := []int{}
	for len(rest) > 0 {
		var word []byte
		word, rest = Word(rest)
		at := -1
		for j, column := range t.Columns {
			if column == string(prefix)+":"+string(word) {
				at = j
			}
		}
		index = append(index, at)
	}
	return index
}

// Line cuts the first line off text, without its newline.
func Line(text []byte) (first, rest []byte) {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return text[:i], text[i+1:]
	}
	return text, nil
}

// Word cuts the first word off a line; rest begins behind the blanks that follow it.
func Word(text []byte) (word, rest []byte) {
	text = bytes.TrimLeft(text, " \t")
	i := bytes.IndexAny(text, " \t")
	if i < 0 {
		return text, nil
	}
	return text[:i], bytes.TrimLeft(text[i:], " \t")
}

// Uint reads a decimal number; what is not one counts as 0, as does a negative
// value such as snmp's MaxConn of -1.
func Uint(word []byte) uint64 {
	var v uint64
	for _, c := range word {
		if c < '0' || c > '9' {
			return 0
		}
		v = v*10 + uint64(c-'0')
	}
	return v
}

// Hex reads a hexadecimal number without prefix, as in softnet_stat.
func Hex(word []byte) uint64 {
	var v uint64
	for _, c := range word {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0
		}
	}
	return v
}
