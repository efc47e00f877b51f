//go:build linux

package source

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// gather runs a source on the calling thread, whose namespace it is to see, and gives its
// members' texts by name.
func gather(t testing.TB, s *OneOff, env Env) (Result, map[string]string) {
	t.Helper()
	if env.Root == "" {
		env.Root = "/"
	}
	r := collect(context.Background(), env, s, &Sink{})
	texts := map[string]string{}
	for _, m := range r.Sink.Members {
		var b bytes.Buffer
		if n, err := m.WriteTo(&b); err != nil || n != m.Size {
			t.Errorf("member %s: %d bytes, %v; want %d", m.Name, n, err, m.Size)
		}
		texts[m.Name] += b.String()
	}
	return r, texts
}

// tree makes a fixture root that holds files.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestConntrackIsCutButCountedWhole(t *testing.T) {
	const n, most = 3_000, 1_000
	testns.Run(t, func() {
		testns.Inject(t, n, 3)
		r, texts := gather(t, connections, Env{At: member.AtEnd, ConntrackMax: most})
		if r.Source.State != format.Partial || r.Source.Lost != n-most || r.Source.Unit != "entries" {
			t.Errorf("source %+v, want it partial by %d entries", r.Source, n-most)
		}
		if lines := strings.Count(texts["conntrack.txt"], "\n"); lines != most {
			t.Errorf("%d lines, want %d", lines, most)
		}
		s, err := member.ParseConntrackSummary([]byte(texts["conntrack-summary.json"]))
		if err != nil {
			t.Error(err)
			return
		}
		if s.Entries != n || s.Lines != most || !s.Cut || s.ByState["tcp"]["ESTABLISHED"] != n || s.ByZone["0"] != n || *s.Count != n {
			t.Errorf("summary %+v, want all of %d entries", s, n)
		}
		if len(s.TopSources) != 3 || s.TopSources[2].Entries != n/3 || s.TopSources[2].Addr.String() != "10.0.0.2" {
			t.Errorf("top sources %+v", s.TopSources)
		}
	})
}

func TestConntrackNeverLoadsWhatIsNotThere(t *testing.T) {
	count := "proc/sys/net/netfilter/nf_conntrack_count"
	for want, files := range map[string]map[string]string{
		"module nf_conntrack)":                             {"proc/version": ""},
		"kernel module nf_conntrack_netlink is not loaded": {count: "7\n", "proc/modules": "nf_conntrack 172032 1 xt_state, Live 0x0\n"},
	} {
		r, texts := gather(t, connections, Env{At: member.AtEnd, Root: tree(t, files)})
		if r.Source.State != format.Unsupported || !strings.Contains(r.Source.Reason, want) || len(texts) != 0 {
			t.Errorf("source %+v, want it unsupported for %q", r.Source, want)
		}
	}
}

// BenchmarkConntrack is the whole source: dumped, printed, counted and compressed. The
// table is made once; conntrack(8) -L of the same one is told where it is installed.
func BenchmarkConntrack(b *testing.B) {
	testns.Run(b, func() {
		testns.Inject(b, 200_000, 50_000)
		for b.Loop() {
			r := collect(context.Background(), Env{Root: "/", At: member.AtEnd}, connections, &Sink{})
			if r.Source.State != format.Complete {
				b.Errorf("source %+v", r.Source)
				return
			}
			b.ReportMetric(float64(r.Sink.Members[0].z.Len()), "compressed-bytes")
			b.ReportMetric(float64(r.Sink.Members[0].Size), "text-bytes")
		}
		b.ReportAllocs()
		began := time.Now()
		if err := exec.Command("conntrack", "-L").Run(); err == nil {
			b.Logf("conntrack -L of the same table: %v", time.Since(began))
		}
	})
}
