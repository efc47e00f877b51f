//go:build linux

// Package metrics tells an armed recorder's status to Prometheus: what spikebox status shows, as
// numbers to draw and to alert on.
package metrics

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/control"
)

const (
	// scrapersMost is how many are served at a time, some of whom may be slow: an answer of a thousand
	// interfaces takes 2 MB until it is read. Others wait.
	scrapersMost = 16
	// answerTime is less than Prometheus waits (scrape_timeout, 10 s).
	answerTime = 5 * time.Second
	// socketMode lets a scraper in that is in the recorder's group: it does not run as the recorder, and
	// nobody can be told anything else by this socket.
	socketMode = 0o660
)

// Server answers GET /metrics.
type Server struct{ listener net.Listener }

// Check says what is no address for Listen.
func Check(address string) error {
	path, isPath := strings.CutPrefix(address, "unix:")
	if address == "" || isPath && path != "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || isPath {
		return fmt.Errorf("metrics %q: want HOST:PORT or unix:PATH", address)
	}
	return nil
}

// Listen takes an address: HOST:PORT, or unix:PATH. With an empty one nobody can ask.
func Listen(address string) (*Server, error) {
	if address == "" {
		return &Server{}, nil
	}
	listener, err := listen(address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	return &Server{listener}, nil
}

func listen(address string) (net.Listener, error) {
	if path, isPath := strings.CutPrefix(address, "unix:"); isPath {
		if err := control.RemoveLeft(path); err != nil {
			return nil, err
		}
		return control.ListenUnix(path, socketMode)
	}
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("%w: another program, or another spikeboxd, has it", err)
	}
	return listener, err
}

// Serve answers until the server is closed. It puts each question how the recorder is into asked,
// where the answer goes.
func (s *Server) Serve(asked chan<- chan<- control.Status) {
	if s.listener == nil {
		return
	}
	// How the process itself is (process_*, go_*), under the names that every Go program has; the live heap,
	// as growth of it is a leak, and growth of what is allocated is none.
	live := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile("^/gc/heap/live:bytes$")}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector(asked), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(live)))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	_ = control.Guarded(mux).Serve(netutil.LimitListener(s.listener, scrapersMost))
}

// Close gives the address back.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

// collector asks the recorder once a scrape.
type collector chan<- chan<- control.Status

// Describe names nothing beforehand: which interfaces, vitals and tiers there are is known at the scrape.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends what the recorder tells of itself, or an error where it does not answer.
func (c collector) Collect(to chan<- prometheus.Metric) {
	answer := make(chan control.Status, 1)
	select {
	case c <- answer:
		all := samples{to}
		all.of(<-answer, time.Now())
	case <-time.After(answerTime):
		to <- prometheus.NewInvalidMetric(prometheus.NewDesc("spikebox_up", "Whether the recorder answers.", nil, nil),
			fmt.Errorf("ask the recorder: no answer for %v", answerTime))
	}
}

// samples sends metrics of one scrape.
type samples struct{ to chan<- prometheus.Metric }

// labels are names and values by turns.
func (s samples) send(kind prometheus.ValueType, name, help string, value float64, labels ...string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, strings.ToValidUTF8(labels[i+1], "\uFFFD"))
	}
	s.to <- prometheus.MustNewConstMetric(prometheus.NewDesc("spikebox_"+name, help, names, nil), kind, value, values...)
}

func (s samples) gauge(name, help string, value float64, labels ...string) {
	s.send(prometheus.GaugeValue, name, help, value, labels...)
}

func (s samples) counter(name, help string, value float64, labels ...string) {
	s.send(prometheus.CounterValue, name, help, value, labels...)
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (s samples) of(st control.Status, now time.Time) {
	s.gauge("build_info", "The recorder's program and version; always 1.", 1, "program", st.Program)
	s.gauge("armed_timestamp_seconds", "When it was armed.", seconds(st.Armed))
	tick := st.LastTick
	if tick.IsZero() { // none yet: a minute without one from arming on is as bad as any other
		tick = st.Armed
	}
	s.gauge("last_tick_timestamp_seconds", "When the vitals were last measured, four times a second.", seconds(tick))
	s.counter("missed_ticks_total", "Ticks that did not come: it was stopped, or had no CPU.", float64(st.MissedTicks))
	s.counter("log_lines_dropped_total", "Lines that the log did not take.", float64(st.LogDropped))
	s.gauge("triggers", "Triggers in force.", float64(len(st.Triggers)))
	s.gauge("triggers_blind", "Triggers that cannot fire, as their vitals are not measured.", float64(len(st.Blind)))
	s.gauge("triggers_held_back", "Triggers that fired and were held back by cooldown or cap, now or since the last bundle.", float64(len(st.HeldBack)))
	s.counter("firings_held_back_total", "Firings that cooldown and cap held back.", float64(st.Suppressed))
	s.gauge("pending", "1 from a trigger until its bundle is written.", number(st.Pending))
	s.counter("bundles_written_total", "Bundles on disk.", float64(st.Bundles))
	s.counter("bundles_lost_total", "Bundles that could not be written.", float64(st.Lost))
	s.gauge("last_bundle_degraded", "1 where the last bundle has not everything, or lies in the fallback folder.", number(st.LeftOut != "" || st.Fallback))
	if d := st.Drill; d != nil {
		s.gauge("drill_timestamp_seconds", "When the last drill was since it was armed.", seconds(d.Time))
		s.gauge("drill_success", "1 where the last drill saw its event in all that this host gives, and a bundle could be written.", number(d.State != control.StepFailed))
		for _, step := range d.Steps {
			s.gauge("drill_step_success", "1 where the step of the last drill did well; 0 where it failed or could not be tried.", number(step.State == control.StepOK), "step", step.Name)
		}
	}
	if c := st.OnBundle; c != nil {
		s.counter("on_bundle_runs_total", "Runs of --on-bundle that have ended.", float64(c.Runs))
		s.counter("on_bundle_failed_total", "Runs of --on-bundle that ended badly, or bundles for which it was not run.", float64(c.Failed+c.Dropped))
	}
	for _, i := range st.Interfaces {
		s.counter("interface_packets_total", "Packets recorded.", float64(i.Packets), "interface", i.Name)
		s.counter("interface_packets_lost_total", "Packets that the ring lost.", float64(i.Lost), "interface", i.Name)
		s.gauge("ring_bytes", "Memory of the interface's ring.", float64(i.Ring), "interface", i.Name)
		if i.Ring > 0 && !i.Covered.IsZero() {
			s.gauge("ring_reach_seconds", "How far back the packets of the interface reach.", now.Sub(i.Covered).Seconds(), "interface", i.Name)
		}
	}
	for vital, value := range st.Vitals {
		s.gauge("vital", "A vital as of the last tick; spikeboxd vitals has units and meanings.", value, "vital", vital)
	}
	for _, src := range st.Sources {
		s.gauge("source_complete", "1 where the source gives all that it can.", number(src.State == "complete"), "source", src.Name)
		s.gauge("source_lost", "What the source lost in the window that a bundle would have now.", float64(src.Lost), "source", src.Name)
	}
	s.budget(st)
}

func (s samples) budget(st control.Status) {
	const help = "Share of the machine's CPU time that it takes: the process, and its programs in the kernel."
	s.gauge("cpu_ratio", help, st.Budget.Own, "part", "process")
	s.gauge("cpu_ratio", help, st.Budget.Programs, "part", "programs")
	s.gauge("cpu_budget_ratio", "The share that it may take; 0: no limit.", st.Budget.Limit)
	for _, t := range st.Budget.Tiers {
		s.gauge("tier_shed", "1 while the tier is not armed, for the budget.", number(t.Shed), "tier", t.Tier)
	}
}
