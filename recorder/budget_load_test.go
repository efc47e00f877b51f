//go:build linux

package recorder_test

import (
	"io"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// The true recorder, measuring every 10 s what it costs, beside a true load that comes and goes: tiers are shed in
// the published order, and come back. Its limit lies between what it costs with and without that load on this
// machine, which it is asked for first. make test-budget; some minutes.
func TestBudgetUnderLoad(t *testing.T) {
	if os.Getenv("SPIKEBOX_TEST_BUDGET_LOAD") == "" {
		t.Skip("some minutes under load: run make test-budget")
	}
	ns := testns.New(t)
	free := start(t, ns, "", "--interface", "lo", "--cpu-budget", "100%")
	free.says("armed on", 1)
	idle := used(free, 1)
	stop := load(t, ns)
	loaded := used(free, 2)
	stop()
	free.signal(os.Interrupt)
	free.exits()
	t.Logf("without a limit: %s of the machine idle, %s under load", unit.Percent(idle), unit.Percent(loaded))
	if loaded < 2*idle {
		t.Skipf("the load costs too little here: %s idle, %s under load", unit.Percent(idle), unit.Percent(loaded))
	}
	limit := math.Sqrt(idle * loaded)
	d := start(t, ns, "", "--interface", "lo", "--cpu-budget", unit.FormatShare(math.Round(limit*1e5)/1e5))
	d.says("armed on", 1)
	stop = load(t, ns)
	await(d, "sheds a tier", func() bool { return strings.Contains(d.log(), ": shed ") })
	// Until a measure is within the limit, or nothing is left that would help.
	await(d, "is within the limit", func() bool { return d.status().Budget.Used <= limit || strings.Contains(d.log(), "nothing is left") })
	if s := d.status(); len(s.Budget.Shed) == 0 || s.MissedTicks > 200 {
		t.Errorf("status %+v, %d missed ticks", s.Budget, s.MissedTicks)
	}
	stop()
	before := strings.Count(d.log(), " is back")
	// One, and not all: what softirqs and drops cost follows whatever else the machine does, and it may shed again.
	await(d, "takes a tier back", func() bool { return strings.Count(d.log(), " is back") > before })
	for line := range strings.Lines(d.log()) {
		if strings.Contains(line, "CPU budget") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// used is the mean of n measures from now on; the one that has begun is left out.
func used(d *daemon, n int) (mean float64) {
	last := d.status().Budget.Used
	for i := range n + 1 {
		await(d, "measures", func() bool { return d.status().Budget.Used != last })
		if last = d.status().Budget.Used; i > 0 {
			mean += last / float64(n)
		}
	}
	return mean
}

// await waits for what takes measures of 10 s.
func await(d *daemon, what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(8 * time.Minute); !ok(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			d.t.Fatalf("waited for: spikeboxd %s", what)
		}
	}
}

// load is one client after another that connects, asks and is answered a hundred times, and goes.
func load(t *testing.T, ns netns.NsHandle) (stop func()) {
	t.Helper()
	var listener net.Listener
	var err error
	testns.Do(t, ns, func() { listener, err = net.Listen("tcp4", "127.0.0.1:0") })
	must(t, err)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); io.Copy(conn, conn) }()
		}
	}()
	over := make(chan struct{})
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			testns.Do(t, ns, func() {
				for buf := make([]byte, 64); ; {
					select {
					case <-over:
						return
					default:
					}
					conn, err := net.Dial("tcp4", listener.Addr().String())
					if err != nil {
						continue
					}
					for range 100 {
						conn.Write(buf)
						io.ReadFull(conn, buf)
					}
					conn.Close()
				}
			})
		})
	}
	return sync.OnceFunc(func() { close(over); wait.Wait(); listener.Close() })
}
