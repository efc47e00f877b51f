package plot

import (
	"image/color"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// Ink is a colour with the name that pages know it by.
type Ink struct {
	Name  string
	color color.NRGBA
}

// rgb makes a colour of 0xrrggbb.
func rgb(name string, v uint32, alpha uint8) Ink {
	return Ink{name, color.NRGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), alpha}}
}

// The inks. No two have the same colour, as SVG's classes are found by it.
var (
	Text    = rgb("text", 0x1b1f24, 255)
	Dim     = rgb("dim", 0x57606a, 255)
	Grid    = rgb("grid", 0xe1e4e8, 255)
	Axis    = rgb("axis", 0x8c959f, 255)
	Paper   = rgb("paper", 0xffffff, 255)
	Trigger = rgb("trigger", 0xb3261e, 255)
	Bad     = rgb("bad", 0xc0392b, 255)
	Warn    = rgb("warn", 0x9a6700, 255)
	Remark  = rgb("remark", 0x0969da, 255)
	BadBand = rgb("bad-band", 0xd55e00, 20)
	WarBand = rgb("warn-band", 0xe69f00, 20)
	RemBand = rgb("remark-band", 0x56b4e9, 20)
	// Bands that are seen when they light up only.
	BadHint = rgb("bad-hint", 0xd55e00, 1)
	WarHint = rgb("warn-hint", 0xe69f00, 1)
	RemHint = rgb("remark-hint", 0x56b4e9, 1)
)

// Lines are the inks of series, in the order in which they are taken (Okabe and Ito 2008, without yellow, which
// white paper swallows).
var Lines = []Ink{
	rgb("l1", 0x0072b2, 255), rgb("l2", 0xd55e00, 254), rgb("l3", 0x009e73, 255),
	rgb("l4", 0xcc79a7, 255), rgb("l5", 0xe69f00, 254), rgb("l6", 0x56b4e9, 254),
}

// heatInks are steps of one hue from little to much, dark on light so that they survive grey printing.
var heatInks = []Ink{
	rgb("h0", 0xf1f4f7, 255), rgb("h1", 0xfee8c8, 255), rgb("h2", 0xfdbb84, 255), rgb("h3", 0xfc8d59, 255),
	rgb("h4", 0xe34a33, 255), rgb("h5", 0xb30000, 255), rgb("h6", 0x5b0000, 255),
}

// flameText is written on heat inks, which stay light in the dark.
var flameText = rgb("ontop", 0x1b1f23, 255)

// dashes go with Lines, so that series are told apart without colours; in pixels.
var dashes = [][]vg.Length{nil, {6, 3}, {2, 2}, {8, 3, 2, 3}, {4, 4}, {1, 3}}

// inks is every one, for the classes of SVG and the style of its files.
var inks = append(append([]Ink{Text, Dim, Grid, Axis, Paper, Trigger, Bad, Warn, Remark, BadBand, WarBand, RemBand, BadHint, WarHint, RemHint, flameText}, Lines...), heatInks...)

// classes finds an ink's name by its colour.
var classes = func() map[color.NRGBA]string {
	m := map[color.NRGBA]string{}
	for _, i := range inks {
		m[i.color] = i.Name
	}
	return m
}()

// Class gives the ink's name, as in class "s-NAME" of strokes and "f-NAME" of fills.
func (i Ink) Class() string { return i.Name }

// Hex gives the colour as CSS writes it.
func (i Ink) Hex() string { return hex(i.color) }

// Sizes of text in pixels.
const (
	small  = 11
	normal = 12
)

// face is the type: Liberation Sans is as wide as Arial and Helvetica, of which each system has one.
var face = font.Font{Typeface: "Liberation", Variant: "Sans"}

// Levels of severity, as drawings know them.
const (
	Calm = iota // a remark
	Alert
	Alarm
)

// bands and strokes of the levels.
var (
	levelBand = []Ink{RemBand, WarBand, BadBand}
	levelHint = []Ink{RemHint, WarHint, BadHint}
	levelInk  = []Ink{Remark, Warn, Bad}
)
