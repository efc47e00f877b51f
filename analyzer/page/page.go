// Package page writes a story as one HTML file that asks nobody for anything: its style, its script and its
// drawings are inside, and its content security policy lets nothing else run.
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"regexp"
	"strconv"
	"text/template/parse"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/story"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

//go:embed page.html
var layout string

//go:embed page.css
var style string

//go:embed page.js
var script string

// policy allows this style and this script, and pictures that are inside the page. A stranger's script has
// another sum. The JSON is no script to a browser, and needs no leave.
var policy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; base-uri 'none'; form-action 'none'", sum(style), sum(script))

// sum is what a policy names an inline text by (CSP Level 3 §2.3.1).
func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(s[:])
}

// view is the story with what only a page needs.
type view struct {
	*story.Story
	Policy string
	Style  template.CSS
	Script template.JS
	Worst  string
	Wide   bool // the drawing that explains takes all of the width
	Data   data
}

// data is what the script needs: times in ms since the window's begin.
type data struct {
	Start float64 `json:"start"` // Unix ms
	End   float64 `json:"end"`
	Rows  []row   `json:"rows"`
}

type row struct {
	Unit  string `json:"unit"`
	Lines []line `json:"lines"`
}

type line struct {
	Name string    `json:"name"`
	Step bool      `json:"step"`
	T    []int64   `json:"t"`
	V    []reading `json:"v"`
}

// reading is a value with five digits; null where nothing was read.
type reading float64

// MarshalJSON writes it shortly.
func (r reading) MarshalJSON() ([]byte, error) {
	if v := float64(r); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return strconv.AppendFloat(nil, v, 'g', 5, 64), nil
	}
	return []byte("null"), nil
}

// longestWord is an address of IPv6 with its port, in runes.
const longestWord = 47

// numbered is a number before its unit, in escaped text.
var numbered = regexp.MustCompile(`[\d.,]+ (?:%|(?:[nµm]?s|[KMG]?i?B|times)\b)`)

// besideText is how wide a drawing may be that stands beside text.
const besideText = 700

// functions are what the layout calls.
var functions = template.FuncMap{
	// A drawing has escaped its texts itself.
	"svg":    func(p *plot.Picture) template.HTML { return template.HTML(p.SVG(false)) },
	"prose":  unit.Prose,
	"number": unit.Number,
	"clock":  words.Clock,
	"list":   words.List,
	"count":  unit.Count[int],
	"more":   func(all, shown int) int { return all - shown },
	"since":  func(from, at time.Time) int64 { return at.Sub(from).Milliseconds() },
	"ids":    words.List,
	// A word is broken only where it is long: not an address in its middle.
	"wraps": func(text string) bool { return len([]rune(text)) > longestWord },
	// On paper no table has room for two addresses of IPv6 beside its numbers: some 24 letters of one stay together.
	"long": func(text string) bool { return len([]rune(text)) > 24 },
	// A number and its unit stay on one line.
	"whole": func(text string) template.HTML {
		return template.HTML(numbered.ReplaceAllString(template.HTMLEscapeString(plain.Line(text)), `<span class="nb">$0</span>`))
	},
	// A stranger's text stays within its line.
	"plain": func(v any) any {
		if text, ok := v.(string); ok {
			return plain.Line(text)
		}
		return v
	},
}

// HTML writes the page. Every stranger's text goes through package plain, as it does to a terminal.
func HTML(w io.Writer, s *story.Story) error {
	t, err := template.New("page").Funcs(functions).Parse(layout)
	if err != nil {
		return fmt.Errorf("parse layout: %w", err)
	}
	for _, part := range t.Templates() {
		guard(part.Tree, part.Tree.Root)
	}
	v := view{Story: s, Policy: policy, Style: template.CSS(style), Script: template.JS(script), Worst: string(s.Doc.Worst()), Data: dataOf(s)}
	v.Wide = len(s.Explain) == 0 || s.Explain[0].Picture.Width > besideText
	door := plain.NewWriter(w)
	if err := t.Execute(door, v); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// guard lets every value of the layout go through "plain", as html/template lets them go through what escapes them:
// no place can be forgotten.
func guard(tree *parse.Tree, node parse.Node) {
	list := func(l *parse.ListNode) {
		if l != nil {
			for _, n := range l.Nodes {
				guard(tree, n)
			}
		}
	}
	branch := func(b *parse.BranchNode) { list(b.List); list(b.ElseList) }
	switch n := node.(type) {
	case *parse.ListNode:
		list(n)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.ActionNode:
		if len(n.Pipe.Decl) == 0 {
			call := parse.NewIdentifier("plain").SetTree(tree).SetPos(n.Pos)
			n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{call}})
		}
	}
}

// dataOf gives the rows' numbers.
func dataOf(s *story.Story) data {
	start := s.Doc.Window.Start.UnixNano()
	d := data{Start: float64(start) / 1e6, End: max(1, float64(s.Doc.Window.End.UnixNano()-start)/1e6), Rows: []row{}}
	for i := range s.Rows {
		r := row{Unit: s.Rows[i].Unit, Lines: []line{}}
		for _, l := range s.Rows[i].Lines {
			out := line{Name: plain.Line(l.Name), Step: l.Step}
			for j := range l.T {
				out.T = append(out.T, (l.T[j]-start)/1e6)
				out.V = append(out.V, reading(l.V[j]))
			}
			r.Lines = append(r.Lines, out)
		}
		d.Rows = append(d.Rows, r)
	}
	return d
}
