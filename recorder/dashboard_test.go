//go:build linux

package recorder_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

const dashboardFile = "../contrib/grafana/spikebox.json"

// board is what is looked at of a Grafana dashboard.
type board struct {
	Templating  struct{ List []struct{ Name string } }
	Annotations struct{ List []struct{ Expr string } }
	Panels      []struct {
		ID          int
		Type        string
		Title       string
		Description string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr string }
	}
}

func dashboard(t *testing.T) (b board, queries map[string]string) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	must(t, err)
	must(t, json.Unmarshal(text, &b))
	queries = map[string]string{}
	for _, p := range b.Panels {
		for i, target := range p.Targets {
			queries[fmt.Sprintf("%s, query %d", p.Title, i)] = target.Expr
		}
	}
	for i, a := range b.Annotations.List {
		queries[fmt.Sprintf("annotation %d", i)] = a.Expr
	}
	return b, queries
}

// Panels say what they show, stand beside each other, and ask for one of the hosts; the vitals that they name are vitals.
func TestDashboard(t *testing.T) {
	b, queries := dashboard(t)
	known, err := exec.Command(binary, "vitals").Output()
	must(t, err)
	seen, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range b.Panels {
		if seen[p.ID] || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d, %q: its number is another's, or it lacks a title, a description or a query", p.ID, p.Title)
		}
		seen[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies over %q, or beyond the page", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	for name, query := range queries {
		if !strings.Contains(query, `instance=~"$instance"`) {
			t.Errorf("%s asks for all hosts: %s", name, query)
		}
		for _, vitals := range regexp.MustCompile(`vital=~"([^"]*)"`).FindAllStringSubmatch(query, -1) {
			for vital := range strings.SplitSeq(strings.ReplaceAll(vitals[1], "[.]", "."), "|") {
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(vital) + ` `).Match(known) {
					t.Errorf("%s asks for vital %q, which is none", name, vital)
				}
			}
		}
	}
}

// A real Prometheus scrapes a running recorder: every query of the dashboard has an answer, and every alert can be evaluated.
func TestDashboardOnPrometheus(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		program, err = exec.LookPath("../out/peers/usr/bin/prometheus") // where .ci/run unpacks it
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs prometheus: apt-get install prometheus")
	}
	ns := testns.New(t)
	d := start(t, ns, "", "--metrics", "127.0.0.1:9743", "--cpu-budget", "50%", "--interface", "lo")
	d.says("armed on", 1)
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	if _, _, err := d.ctl.Drill(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := prometheus(t, ns, program)
	_, queries := dashboard(t)
	fill := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$instance", ".*")
	last := ""
	t.Cleanup(func() { t.Logf("the last query that got no answer at first: %s", last) })
	d.wait("has an answer for each query", func() bool {
		for name, query := range queries {
			var answer struct {
				Status, Error string
				Data          struct{ Result []any }
			}
			p.get(t, "/api/v1/query?query="+url.QueryEscape(fill.Replace(query)), &answer)
			if answer.Status != "success" {
				t.Fatalf("%s: %s: %s", name, query, answer.Error)
			}
			if len(answer.Data.Result) == 0 {
				last = name + ": " + query
				d.signal(unix.SIGUSR1) // an increase needs two scrapes, and a bundle between them
				return false
			}
		}
		return true
	})
	d.wait("is what all alerts can be evaluated on", func() bool {
		var rules struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		p.get(t, "/api/v1/rules", &rules)
		n := 0
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "err" {
					t.Fatalf("alert %s: %s", r.Name, r.LastError)
				} else if r.Health == "ok" {
					n++
				}
			}
		}
		return n >= 9
	})
}

// server is a Prometheus in a network namespace, and how it is asked.
type server struct{ client http.Client }

// prometheus scrapes the recorder once a second, with the alerts of contrib.
func prometheus(t *testing.T, ns netns.NsHandle, program string) server {
	t.Helper()
	alerts, err := filepath.Abs("../contrib/prometheus/alerts.yml")
	must(t, err)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs:\n- job_name: spikebox\n  static_configs: [{targets: ['127.0.0.1:9743']}]\n", alerts), 0o600))
	cmd := exec.Command(program, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", "127.0.0.1:9090")
	var said strings.Builder
	cmd.Stderr = &said
	testns.Do(t, ns, func() { err = cmd.Start() })
	must(t, err)
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", said.String())
		}
	})
	return server{http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(_ context.Context, network, address string) (c net.Conn, err error) {
			testns.Do(t, ns, func() { c, err = net.Dial(network, address) })
			return c, err
		},
	}}}
}

// get asks until somebody answers.
func (s server) get(t *testing.T, path string, into any) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		answer, err := s.client.Get("http://127.0.0.1:9090" + path)
		if err == nil {
			text, rerr := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err = rerr; err == nil && answer.StatusCode != http.StatusServiceUnavailable {
				must(t, json.Unmarshal(text, into))
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
