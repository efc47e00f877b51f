// Package browser opens pages in a headless Chromium, for tests: what it logs, what it asks the network for,
// and what axe-core finds wrong with it for people who do not see the page.
package browser

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe is axe-core 4.14.1 by Deque Systems (MPL 2.0), as its package has it: axe.min.js.
//
//go:embed axe.min.js.gz
var axe []byte

// Page is a page in a browser of its own.
type Page struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	messages []string // what the page or the browser about it had to complain of
	requests []string // but for the page itself
}

// names are what distributions call it.
var names = []string{"chromium", "chromium-browser", "google-chrome", "chrome"}

// timeout is for a machine that does ten other things.
const timeout = 3 * time.Minute

// find gives the browser's path. Without one a test is skipped, and fails where one must be there.
func find(t *testing.T) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium")
	}
	t.Skip("no Chromium: apt-get install chromium")
	return ""
}

// Open opens a file in a window of a size in CSS pixels.
func Open(t *testing.T, file string, width, height int) *Page {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(find(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(width, height), chromedp.UserDataDir(t.TempDir()))
	ctx, stop := context.WithTimeout(context.Background(), timeout)
	alloc, free := chromedp.NewExecAllocator(ctx, options...)
	tab, shut := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		_ = chromedp.Cancel(tab) // waits for the browser, whose folder is removed next
		shut()
		free()
		stop()
	})
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{t: t, ctx: tab}
	if err := chromedp.Listen(tab, p.hear); err != nil {
		t.Fatal(err)
	}
	Call(p, network.Enable, network.EnableParams{})
	Call(p, cdplog.Enable, cdp.Empty{})
	p.Do(chromedp.EmulateViewport(int64(width), int64(height)), chromedp.Navigate("file://"+path))
	return p
}

// hear keeps what happens behind the page.
func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		p.messages = append(p.messages, "the console was written to")
	case *runtime.EventExceptionThrown:
		p.messages = append(p.messages, "exception: "+e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		p.messages = append(p.messages, fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
	case *network.EventRequestWillBeSent:
		if e.Type != network.ResourceTypeDocument || !strings.HasPrefix(e.Request.URL, "file://") {
			p.requests = append(p.requests, e.Request.URL)
		}
	}
}

// Do runs actions, and ends the test where one fails.
func (p *Page) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// Get runs an action that gives something.
func Get[T any](p *Page, action chromedp.Action[T]) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

// Call runs a command of the protocol.
func Call[P, R any](p *Page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	value, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

// Eval gives what an expression gives, which may be a promise.
func Eval[T any](p *Page, script string) T {
	p.t.Helper()
	return Get(p, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// Exec runs a script for what it does.
func (p *Page) Exec(script string) {
	p.t.Helper()
	Get(p, chromedp.Evaluate[chromedp.Void](script))
}

// Media sets the medium and the scheme of colours: screen or print, light or dark.
func (p *Page) Media(medium, scheme string) {
	p.t.Helper()
	Call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: medium, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// Quiet fails the test for everything that was logged or asked for.
func (p *Page) Quiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.messages {
		p.t.Errorf("the browser says: %.400s", m)
	}
	for _, r := range p.requests {
		p.t.Errorf("the page asks for %.200s", r)
	}
}

// Accessible fails the test for every rule of axe-core that the page breaks, with the first place where it does.
func (p *Page) Accessible() {
	p.t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(axe))
	if err != nil {
		p.t.Fatal(err)
	}
	source, err := io.ReadAll(z)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Exec(string(source))
	text := Eval[string](p, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, n: v.nodes.length, html: v.nodes[0].html, why: v.nodes[0].failureSummary}))))`)
	var wrong []struct {
		ID, Help, HTML, Why string
		N                   int
	}
	if err := json.Unmarshal([]byte(text), &wrong); err != nil {
		p.t.Fatal(err)
	}
	for _, w := range wrong {
		p.t.Errorf("axe: %s: %s, at %d places, the first %.300s: %.300s", w.ID, w.Help, w.N, w.HTML, w.Why)
	}
}
