//go:build linux

package metrics

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/control"
)

// status of a recorder that has everything, a stranger's interface name among it.
func status() control.Status {
	now := time.Now()
	return control.Status{
		Program: "spikeboxd v1", Armed: now.Add(-time.Hour), LastTick: now, Triggers: []string{"a", "b"}, Blind: []string{"b"},
		Interfaces: []control.InterfaceStatus{
			{Name: "eth0", Covered: now.Add(-30 * time.Second), Ring: 64 << 20, Packets: 1000, Lost: 3}, {Name: "x\xff\"\n", State: "missing"},
		},
		Vitals:   map[string]float64{"rtt.p99": 0.2},
		Sources:  []format.Source{{Name: "packets", State: format.Complete}, {Name: "probe.rtt", State: format.Unsupported, Lost: 2}},
		Drill:    &control.Drill{Time: now, State: control.StepFailed, Steps: []control.Step{{Name: "events", State: control.StepFailed}, {Name: "bundle", State: control.StepOK}}},
		OnBundle: &control.OnBundle{Runs: 5, Failed: 2, Dropped: 1},
		Bundles:  2, Lost: 1, LeftOut: "no packets", MissedTicks: 7,
		Budget: format.Budget{Limit: 0.01, Own: 0.002, Programs: 0.004, Tiers: []format.BudgetTier{{Tier: "echo", Shed: true}}},
	}
}

func answer(t *testing.T) chan chan<- control.Status {
	asked := make(chan chan<- control.Status)
	go func() {
		for to := range asked {
			to <- status()
		}
	}()
	t.Cleanup(func() { close(asked) })
	return asked
}

// Names and help texts are as Prometheus wants them.
func TestLint(t *testing.T) {
	problems, err := testutil.CollectAndLint(collector(answer(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Before the first tick the last one is no time of another century: what waits for it counts from arming on.
func TestNoTickYet(t *testing.T) {
	armed := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	metrics := make(chan prometheus.Metric, 1000)
	samples{metrics}.of(control.Status{Armed: armed}, armed)
	close(metrics)
	for m := range metrics {
		var sample dto.Metric
		if err := m.Write(&sample); err != nil {
			t.Fatal(err)
		}
		if v := sample.GetGauge().GetValue(); strings.Contains(m.Desc().String(), "timestamp_seconds") && v != float64(armed.Unix()) {
			t.Errorf("%v is %v", m.Desc(), v)
		}
	}
}

// What is scraped is what status tells.
func TestScrape(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.sock")
	for range 2 { // the second one finds the socket of the first, as if that had been killed
		s, err := Listen("unix:" + path)
		if err != nil {
			t.Fatal(err)
		}
		s.listener.(*net.UnixListener).SetUnlinkOnClose(false)
		go s.Serve(answer(t))
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
		got, err := client.Get("http://recorder/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		if err != nil || got.StatusCode != http.StatusOK {
			t.Fatalf("status %s, %v: %s", got.Status, err, text)
		}
		for _, want := range []string{
			"spikebox_bundles_written_total 2", "spikebox_bundles_lost_total 1", "spikebox_last_bundle_degraded 1", "spikebox_triggers_blind 1",
			`spikebox_interface_packets_lost_total{interface="eth0"} 3`, `spikebox_ring_reach_seconds{interface="eth0"} 30`,
			`spikebox_vital{vital="rtt.p99"} 0.2`, `spikebox_source_complete{source="probe.rtt"} 0`, `spikebox_cpu_ratio{part="programs"} 0.004`,
			`spikebox_tier_shed{tier="echo"} 1`, "spikebox_missed_ticks_total 7",
			"process_resident_memory_bytes ", "process_open_fds ", "go_goroutines ", "go_gc_heap_live_bytes ",
			"spikebox_drill_success 0", `spikebox_drill_step_success{step="bundle"} 1`, "spikebox_on_bundle_runs_total 5", "spikebox_on_bundle_failed_total 3",
		} {
			if !strings.Contains(string(text), "\n"+want) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
		s.Close()
	}
	if _, err := Listen("unix:/"); err == nil {
		t.Error("a folder was taken for a socket")
	}
	if _, err := Listen("nonsense"); err == nil {
		t.Error("an address without a port was taken")
	}
}

// A socket that a killed recorder left is replaced, and nothing else: neither that of one that is armed nor a file.
func TestOnlyLeftSocketsAreReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.sock")
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	first, err := Listen("unix:" + path)
	if err != nil {
		t.Fatalf("on a socket that a killed one left: %v", err)
	}
	defer first.Close()
	if _, err := Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "another program listens there") {
		t.Errorf("on the socket of one that is armed: %v", err)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first is not reached any more: %v", err)
	} else {
		conn.Close()
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:" + file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("on a file: %v", err)
	}
}

// Scrapers who keep their connections open, as Prometheus does, are not all that are served.
func TestManyScrapers(t *testing.T) {
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	go s.Serve(answer(t))
	for i := range 2 * scrapersMost {
		client := http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
		t.Cleanup(client.CloseIdleConnections)
		got, err := client.Get("http://" + s.listener.Addr().String() + "/metrics")
		if err != nil {
			t.Fatalf("scraper %d: %v", i+1, err)
		}
		if _, err := io.Copy(io.Discard, got.Body); err != nil || got.StatusCode != http.StatusOK {
			t.Fatalf("scraper %d: %s, %v", i+1, got.Status, err)
		}
		got.Body.Close()
	}
}

// The socket is for the recorder's group, whatever the umask.
func TestSocketMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.sock")
	s, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A recorder that does not answer makes the scrape fail, and not hang.
func TestNoAnswer(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector(make(chan chan<- control.Status)))
	if _, err := registry.Gather(); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("error %v", err)
	}
}

// Every metric that the alerts ask for is there.
func TestAlertsKnowTheirMetrics(t *testing.T) {
	rules, err := os.ReadFile("../../contrib/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector(answer(t)))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range families {
		known[f.GetName()] = true
	}
	asked := regexp.MustCompile(`\bspikebox_[a-z_]+`).FindAllString(string(rules), -1)
	if len(asked) < 8 {
		t.Fatalf("the alerts ask for %q only", asked)
	}
	for _, name := range asked {
		if !known[name] {
			t.Errorf("the alerts ask for %s, which is not told", name)
		}
	}
}
