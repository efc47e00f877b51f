package kerneltext

import (
	"bytes"
	"fmt"
	"strings"
)

// Picker takes a few numbers out of the texts of ParseSNMP, again and again, and each by its name,
// as that does. A line of names is compared with the one of the text before; names are looked up only
// where it has changed. Its methods are for one goroutine.
type Picker struct {
	index  map[string]map[string]int // by group and name
	values []float64
	pairs  []snmpShape // of the text before; none where its form is another
}

// snmpShape is a line of names, and what is wanted of the line of values below it.
type snmpShape struct {
	names  []byte
	group  []byte // with its colon
	column []int  // the index of each name, −1 of one that is not wanted, up to the last that is
}

// NewPicker wants numbers by "GROUP NAME".
func NewPicker(wanted []string) *Picker {
	p := &Picker{index: map[string]map[string]int{}, values: make([]float64, len(wanted))}
	for i, w := range wanted {
		group, name, _ := strings.Cut(w, " ")
		if p.index[group] == nil {
			p.index[group] = map[string]int{}
		}
		p.index[group][name] = i
	}
	return p
}

// Pick gives the numbers in the order in which they are wanted; what the text does not have is 0.
// They are valid until the next Pick. The error is that of ParseSNMP.
func (p *Picker) Pick(text []byte) ([]float64, error) {
	clear(p.values)
	if p.again(text) {
		return p.values, nil
	}
	clear(p.values)
	err := ParseSNMP(text, func(row SNMPRow) {
		if i, ok := p.index[string(row.Group)][string(row.Name)]; ok {
			p.values[i] = row.Value
		}
	})
	p.pairs = nil
	if err == nil {
		p.pairs = p.shape(text)
	}
	return p.values, err
}

// again takes the numbers of a text whose names are those of the text before, and says whether they are.
func (p *Picker) again(text []byte) bool {
	for i := range p.pairs {
		s := &p.pairs[i]
		var names, values []byte
		names, text, _ = bytes.Cut(text, []byte{'\n'})
		values, text, _ = bytes.Cut(text, []byte{'\n'})
		if !bytes.Equal(names, s.names) || !p.take(values, s) {
			return false
		}
	}
	return len(p.pairs) > 0 && len(text) == 0
}

// take reads what is wanted of a line of values.
func (p *Picker) take(values []byte, s *snmpShape) bool {
	group, rest := word(values)
	if !bytes.Equal(group, s.group) {
		return false
	}
	for _, i := range s.column {
		var value []byte
		if value, rest = word(rest); i < 0 {
			continue
		}
		v, err := Number(value)
		if err != nil {
			return false
		}
		p.values[i] = v
	}
	return true
}

// shape learns the form of a text that ParseSNMP took; nil where it is not one line of values
// below each of names.
func (p *Picker) shape(text []byte) (pairs []snmpShape) {
	for len(text) > 0 {
		var names, values []byte
		names, text, _ = bytes.Cut(text, []byte{'\n'})
		values, text, _ = bytes.Cut(text, []byte{'\n'})
		group, rest := word(names)
		if same, _ := word(values); len(group) == 0 || !bytes.Equal(same, group) {
			return nil
		}
		s := snmpShape{names: bytes.Clone(names), group: bytes.Clone(group)}
		for {
			var name []byte
			if name, rest = word(rest); len(name) == 0 {
				break
			}
			i, ok := p.index[string(bytes.TrimSuffix(group, []byte{':'}))][string(name)]
			if !ok {
				i = -1
			}
			s.column = append(s.column, i)
		}
		last := 0
		for c, i := range s.column {
			if i >= 0 {
				last = c + 1
			}
		}
		s.column = s.column[:last]
		pairs = append(pairs, s)
	}
	return pairs
}

// Named finds one number of a text in ParseNameValue's form, by its name; absent is no error.
func Named(text, name []byte) (value float64, err error) {
	for {
		at := bytes.Index(text, name)
		if at < 0 {
			return 0, nil
		}
		line, rest, _ := bytes.Cut(text[at+len(name):], []byte{'\n'})
		if (at == 0 || text[at-1] == '\n') && len(line) > 0 && blank(line[0]) {
			field, _ := word(line)
			if value, err = Number(field); err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
			return value, nil
		}
		text = rest
	}
}
