//go:build linux

package recorder_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// The webhook of contrib posts what the analyzer says of a bundle, while the recorder goes on; one
// that is stopped lets it end.
func TestWebhook(t *testing.T) {
	t.Parallel()
	ns := testns.New(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("it takes curl")
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/spikebox").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	script, err := filepath.Abs("../contrib/on-bundle/webhook.sh")
	must(t, err)
	type posted struct{ host, bundle, verdict string }
	got := make(chan posted, 2)
	var listener net.Listener
	testns.Do(t, ns, func() { listener, err = net.Listen("tcp", "127.0.0.1:0") })
	must(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var findings struct{ Verdict string }
		if err := json.Unmarshal(body, &findings); err != nil {
			t.Errorf("posted %q: %v", body, err)
		}
		got <- posted{req.Header.Get("X-Spikebox-Host"), req.Header.Get("X-Spikebox-Bundle"), findings.Verdict}
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	env := fmt.Sprintf(`export PATH=%s:$PATH SPIKEBOX_WEBHOOK=http://%s && exec "$@"`, bin, listener.Addr())
	d := start(t, ns, env, "--interface", "lo", "--after", "0s", "--on-bundle", script)
	d.says("armed on", 1)
	must(t, d.ctl.Trigger(t.Context(), "a\nlook"))
	d.says("--on-bundle: done in", 1)
	p := <-got
	if b := d.bundle(); !strings.HasSuffix(p.bundle, "-control.spike.tar.zst") || p.host != b.Manifest.Host.Name || p.verdict == "" {
		t.Errorf("posted %+v of %s", p, b.Manifest.Host.Name)
	}
	if s := d.status(); s.OnBundle == nil || s.OnBundle.Runs != 1 || s.OnBundle.Failed != 0 {
		t.Errorf("status %+v", s.OnBundle)
	}
	must(t, d.ctl.Trigger(t.Context(), "and end"))
	d.says("bundle written", 2)
	d.signal(unix.SIGTERM)
	if code := d.exits(); code != 0 || !strings.Contains((<-got).bundle, "-control") {
		t.Errorf("exit code %d", code)
	}
	d.says("--on-bundle: done in", 2)
}
