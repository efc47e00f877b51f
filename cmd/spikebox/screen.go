package main

import (
	"cmp"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
)

// plainWidth is the width of text that goes into a file or a pipe.
const plainWidth = 80

// style is how text is set on standard output: as wide as the terminal, or as COLUMNS
// says, in colours unless NO_COLOR (no-color.org) forbids it or nobody would see them.
func style() report.Style {
	s := report.Style{Width: plainWidth}
	fd := int(os.Stdout.Fd())
	if term.IsTerminal(fd) {
		s.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		s.ASCII = !utf8Locale(os.Getenv)
		if width, _, err := term.GetSize(fd); err == nil && width > 0 {
			s.Width = width
		}
	}
	if width, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && width > 0 {
		s.Width = width
	}
	return s
}

// utf8Locale says whether a terminal shows UTF-8, by the variables in the order of setlocale(3). Windows has none of
// them, and its terminals do.
func utf8Locale(env func(string) string) bool {
	locale := cmp.Or(env("LC_ALL"), env("LC_CTYPE"), env("LANG"))
	if locale == "" {
		return runtime.GOOS == "windows"
	}
	charset := strings.ToLower(locale)
	return strings.Contains(charset, "utf-8") || strings.Contains(charset, "utf8")
}

// bar shows how far reading has come, on a terminal and only if it takes a while.
type bar struct {
	progress evidence.Progress
	quit     chan struct{}
	done     chan struct{}
}

// A bar that comes and goes at once only flickers.
const (
	barAfter = time.Second
	barEvery = 100 * time.Millisecond
)

// startBar shows nothing yet: most bundles are read within the second.
func startBar() *bar {
	b := &bar{quit: make(chan struct{}), done: make(chan struct{})}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		close(b.done)
		return b
	}
	go b.show()
	return b
}

// show waits, then draws until it is told to quit.
func (b *bar) show() {
	defer close(b.done)
	select {
	case <-b.quit:
		return
	case <-time.After(barAfter):
	}
	total := b.progress.Total.Load()
	if total == 0 {
		total = -1 // a pipe: nobody knows
	}
	view := progressbar.NewOptions64(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("reading"), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(20))
	tick := time.NewTicker(barEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.quit:
			_ = view.Clear() // nothing depends on the bar
			return
		case <-tick.C:
			_ = view.Set64(b.progress.Done.Load())
		}
	}
}

// stop takes the bar away.
func (b *bar) stop() {
	close(b.quit)
	<-b.done
}
