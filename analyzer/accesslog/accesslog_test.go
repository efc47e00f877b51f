package accesslog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

const (
	nginxPorts  = `$remote_addr:$remote_port $server_addr:$server_port $msec "$request" $status $request_time $upstream_connect_time $upstream_header_time $upstream_response_time`
	nginxTiming = "log_format timing '$remote_addr - $remote_user [$time_local] '\n" +
		"'\"$request\" $status $body_bytes_sent '\n'\"$http_referer\" \"$http_user_agent\" '\n" +
		"'rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" urt=\"$upstream_response_time\"';"
	apachePorts = `LogFormat "%a %{remote}p %{end:msec}t %{us}T \"%r\" %>s" ports`
)

// read reads a log of testdata, as lines of text.
func read(t *testing.T, name, format string, zone *time.Location) []string {
	t.Helper()
	var opts Options
	if format != "" {
		f, err := Compile(format)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		opts.Format = f
	}
	opts.Zone = zone
	l, err := Open(filepath.Join("testdata", name), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var all []string
	if err := l.Each(func(r *Request) { all = append(all, text(r)) }); err != nil {
		t.Fatal(err)
	}
	if l.Skipped > 0 {
		t.Errorf("%s: %d of %d lines were skipped", name, l.Skipped, l.Lines)
	}
	return all
}

// text is a request as a line.
func text(r *Request) string {
	ms := func(d time.Duration) string {
		if d < 0 {
			return "-"
		}
		return fmt.Sprint(float64(d) / 1e6)
	}
	at := time.Unix(0, r.End).UTC().Format("15:04:05.000")
	return fmt.Sprintf("%s %s %s took %s queue %s connect %s header %s response %s %d %s", at, r.Client, r.Server, ms(r.Took), ms(r.Queue), ms(r.Connect), ms(r.Header), ms(r.Response), r.Status, r.What)
}

// The logs of testdata were written by nginx 1.22, HAProxy 2.6 and Apache 2.4 about the same requests: to an upstream that
// waits, to one of two upstreams that refuses, with a name and an agent that look like fields, and one that the client gave up.
func TestServers(t *testing.T) {
	for name, want := range map[string][]string{
		"nginx-timing.log": {
			`23:11:28.000 127.0.0.1:0 invalid AddrPort took 5 queue - connect 0 header 5 response 5 200 GET /a?ms=0 HTTP/1.1`,
			`23:11:28.000 127.0.0.1:0 invalid AddrPort took 122 queue - connect 0 header 122 response 122 200 GET /b?ms=120 HTTP/1.1`,
			`23:11:28.000 127.0.0.1:0 invalid AddrPort took 16 queue - connect 0 header - response 16 502 GET /c?ms=5&rt=99.0 HTTP/1.1`,
			`23:11:29.000 127.0.0.1:0 invalid AddrPort took 300 queue - connect 1 header - response 301 499 GET /gone?ms=900 HTTP/1.1`,
			`23:11:30.000 127.0.0.1:0 invalid AddrPort took 10 queue - connect 0 header 10 response 10 200 GET /auth HTTP/1.1`,
			`23:11:31.000 127.0.0.1:0 invalid AddrPort took 11 queue - connect 0 header 11 response 12 200 GET /two?ms=10 HTTP/1.1`,
			`23:11:31.000 127.0.0.1:0 invalid AddrPort took 43 queue - connect 3 header 44 response 44 200 GET /two?ms=10 HTTP/1.1`,
			`23:11:31.000 127.0.0.1:0 invalid AddrPort took 11 queue - connect 0 header 11 response 11 200 GET /two?ms=10 HTTP/1.1`,
			`23:11:31.000 127.0.0.1:0 invalid AddrPort took 0 queue - connect - header - response - 200 GET /static HTTP/1.1`,
		},
		"haproxy.log": {
			`23:11:29.323 127.0.0.1:47454 invalid AddrPort took 3 queue 0 connect 0 header 3 response 3 200 GET /a?ms=0 HTTP/1.1`,
			`23:11:29.469 127.0.0.1:47468 invalid AddrPort took 122 queue 0 connect 0 header 122 response 122 200 GET /b?ms=120 HTTP/1.1`,
			`23:11:29.502 127.0.0.1:47472 invalid AddrPort took 8 queue 0 connect 0 header - response - 502 GET /c?ms=5&rt=99.0 HTTP/1.1`,
			`23:11:29.875 127.0.0.1:42270 invalid AddrPort took 1 queue 0 connect 0 header 1 response 1 200 GET /a?ms=0 HTTP/1.1`,
			`23:11:30.035 127.0.0.1:42286 invalid AddrPort took 123 queue 0 connect 0 header 123 response 123 200 GET /b?ms=120 HTTP/1.1`,
			`23:11:30.083 127.0.0.1:42302 invalid AddrPort took 2 queue 0 connect 1 header - response - 502 GET /c?ms=5&rt=99.0 HTTP/1.1`,
			`23:11:30.430 127.0.0.1:47478 invalid AddrPort took 902 queue 0 connect 0 header 902 response 902 200 GET /gone?ms=900 HTTP/1.1`,
			`23:11:31.045 127.0.0.1:42318 invalid AddrPort took 939 queue 0 connect 0 header 939 response 939 200 GET /gone?ms=900 HTTP/1.1`,
		},
		"apache-d.log": {
			`23:11:30.002 127.0.0.1:0 invalid AddrPort took 2.964 queue - connect - header - response - 200 GET /a?ms=0 HTTP/1.1`,
			`23:11:30.126 127.0.0.1:0 invalid AddrPort took 126.444 queue - connect - header - response - 200 GET /b?ms=120 HTTP/1.1`,
			`23:11:30.004 127.0.0.1:0 invalid AddrPort took 4.593 queue - connect - header - response - 502 GET /c?ms=5&rt=99.0 HTTP/1.1`,
			`23:11:30.982 127.0.0.1:0 invalid AddrPort took 982.906 queue - connect - header - response - 200 GET /gone?ms=900 HTTP/1.1`,
		},
	} {
		if diff := cmp.Diff(want, read(t, name, "", nil)); diff != "" {
			t.Errorf("%s: - want + got\n%s", name, diff)
		}
	}
}

// However a server is told to write it, the same requests are read.
func TestFormatsAgree(t *testing.T) {
	for _, two := range [][4]string{
		{"nginx-timing.log", "", "nginx-timing.log", nginxTiming},
		{"nginx-json.log", "", "nginx-ports.log", nginxPorts},
		{"nginx-timing.log", "", "nginx-ports.log", nginxPorts},
		{"apache-d.log", "", "apache-td.log", ""},
		{"apache-d.log", "", "apache-d.log", `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D`},
		{"apache-d.log", "", "apache-ports.log", apachePorts},
		{"haproxy.log", "", "haproxy.log", `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r`},
	} {
		a, b := read(t, two[0], two[1], nil), read(t, two[2], two[3], nil)
		// The times differ in how fine they are, and the ends in whether they are there.
		strip := func(all []string) []string {
			for i := range all {
				_, all[i], _ = strings.Cut(all[i], " took ")
			}
			return all
		}
		if diff := cmp.Diff(strip(a), strip(b)); diff != "" {
			t.Errorf("%s and %s: - one + other\n%s", two[0], two[2], diff)
		}
	}
	got := read(t, "nginx-ports.log", nginxPorts, nil)[5]
	if want := "23:11:31.073 127.0.0.1:54550 127.0.0.1:8081 took 11 "; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := read(t, "apache-ports.log", apachePorts, nil)[3], "23:11:31.621 127.0.0.1:50702 invalid AddrPort took 982.906"; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// HAProxy's times are by the zone of its host; nginx's and Apache's have their offset.
func TestZones(t *testing.T) {
	zone := time.FixedZone("", 3600)
	if got := read(t, "haproxy.log", "", zone)[0]; !strings.HasPrefix(got, "22:11:29.323 ") {
		t.Errorf("%s", got)
	}
	if got := read(t, "nginx-timing.log", "", zone)[0]; !strings.HasPrefix(got, "23:11:28.000 ") {
		t.Errorf("%s", got)
	}
	for line, want := range map[string]string{
		`h - - [27/Nov/2026:04:41:28 +0530] "GET / HTTP/1.1" 200 6 rt=1.500 urt="0.001, 0.002 : 0.003"`:                                                                       "23:11:28.000 invalid AddrPort invalid AddrPort took 1500 queue - connect - header - response 6 200 GET / HTTP/1.1",
		`10.0.0.1:4444 10.0.0.9:80 [26/Nov/2026:23:11:31 +0000] "GET / HTTP/1.1" 200 rt=0.011 uct="-, 0.000" uht="-, 0.011" urt="0.001, 0.011" msec=1795734691.073`:           "23:11:31.073 10.0.0.1:4444 10.0.0.9:80 took 11 queue - connect 0 header 11 response 12 200 GET / HTTP/1.1",
		`[2001:db8::1]:4444 - - [26/Nov/2026:23:11:31 +0000] "GET / HTTP/1.1" 200 rt=0.011`:                                                                                   "23:11:31.000 [2001:db8::1]:4444 invalid AddrPort took 11 queue - connect - header - response - 200 GET / HTTP/1.1",
		`Feb  6 12:14:14 lb haproxy[14389]: [2001:db8::1]:443 [26/Nov/2026:23:11:28.500] in~ b/s 10/20/30/69/139 200 5 - - ---- 1/1/1/1/0 0/0 {a b} {} "GET / HTTP/1.1"`:      "23:11:28.639 [2001:db8::1]:443 invalid AddrPort took 139 queue 20 connect 30 header 99 response 109 200 GET / HTTP/1.1",
		`Feb  6 12:14:14 lb haproxy[14389]: 2001:db8::1:443 [26/Nov/2026:23:11:28.500] in~ b/s 10/20/30/69/139 200 5 - - ---- 1/1/1/1/0 0/0 {a b} {} "GET / HTTP/1.1"`:        "23:11:28.639 [2001:db8::1]:443 invalid AddrPort took 139 queue 20 connect 30 header 99 response 109 200 GET / HTTP/1.1",
		`Feb  6 12:14:14 lb haproxy[14389]: 10.0.0.1:33317 [26/Nov/2026:23:11:28.500] in~ b/s 10/20/30/69/+139 200 +5 - - ---- 1/1/1/1/0 0/0 {a b} {} "GET / HTTP/1.1"`:       "23:11:28.639 10.0.0.1:33317 invalid AddrPort took 139 queue 20 connect 30 header 99 response - 200 GET / HTTP/1.1",
		`<134>Feb  6 12:14:14 haproxy[14389]: ::ffff:10.0.0.1:33317 [26/Nov/2026:23:11:28.500] in b/<NOSRV> 10/-1/-1/-1/+139 -1 5 - - CR-- 1/1/1/1/0 0/0 {a b} {} "<BADREQ>"`: "23:11:28.639 10.0.0.1:33317 invalid AddrPort took 139 queue - connect - header - response - 0 <BADREQ>",
	} {
		var got string
		f := &fields{local: time.UTC}
		for _, c := range candidates {
			if r, ok := c.read([]byte(line), f); ok && got == "" {
				got = text(r)
			}
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	}
}

// Logs of one line each, as their whole tells how to read them: of IPv6 without brackets, whose last part may be a port; of Apache with the client's
// port; of HAProxy's TCP sessions.
func TestGuessed(t *testing.T) {
	const nginx = ` [26/Nov/2026:23:11:31 +0000] "GET / HTTP/1.1" 200 msec=1795734691.073 rt=0.011`
	const apache = ` - - [26/Nov/2026:23:11:30 +0000] "GET / HTTP/1.1" 200 6 "-" "curl" 2964`
	for _, c := range []struct{ log, want string }{
		{"2001:db8::1:4444 2001:db8::9:443" + nginx + "\n192.0.2.1:40000 192.0.2.9:443" + nginx, "[2001:db8::1]:4444 [2001:db8::9]:443 took 11 "},
		{"2001:db8::1:4444 -" + nginx + "\n2001:db8::2:40000 -" + nginx, "[2001:db8::1]:4444 invalid AddrPort took 11 "},
		{"2001:db8:1:2:3:4:5:6:4444 -" + nginx, "[2001:db8:1:2:3:4:5:6]:4444 invalid AddrPort took 11 "},
		{"::1:40000 ::1:443" + nginx, "[::1]:40000 [::1]:443 took 11 "},
		{"2001:db8::1:4444 2001:db8::9" + nginx + "\n2001:db8::abcd 2001:db8::9" + nginx, "[2001:db8::1:4444]:0 [2001:db8::9]:0 took 11 "},
		{"2001:db8::1:4444 -" + nginx + "\n192.0.2.1 -" + nginx, "[2001:db8::1:4444]:0 invalid AddrPort took 11 "},
		{"192.0.2.1:40000" + apache, "192.0.2.1:40000 invalid AddrPort took 2.964 "},
		{"2001:db8::1:4444" + apache + "\n2001:db8::1:40000" + apache, "[2001:db8::1]:4444 invalid AddrPort took 2.964 "},
		{"2001:db8::1" + apache, "[2001:db8::1]:0 invalid AddrPort took 2.964 "},
		{"192.0.2.1:40000 - - [26/Nov/2026:23:11:30 +0000] \"GET / HTTP/1.1\" 200 6 \"-\" \"curl\" 0/2964", "192.0.2.1:40000 invalid AddrPort took 2.964 "},
		{"192.0.2.1:40000 - - [26/Nov/2026:23:11:30 +0000] \"GET / HTTP/1.1\" 200 6 2964", "192.0.2.1:40000 invalid AddrPort took 2.964 "},
		// HAProxy's configuration manual, "TCP log format".
		{"Feb  6 12:12:56 localhost haproxy[14387]: 10.0.1.2:33313 [06/Feb/2009:12:12:51.443] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0", "10.0.1.2:33313 invalid AddrPort took 5007 queue 0 connect 0 header - response - 0 bck"},
		{"2001:db8::1:4444 [06/Feb/2009:12:12:51.443] fnt~ bck/<NOSRV> -1/-1/+12 +0 SC 0/0/0/0/0 0/0", "[2001:db8::1]:4444 invalid AddrPort took 12 queue - connect - header - response - 0 bck"},
	} {
		path := filepath.Join(t.TempDir(), "access.log")
		if err := os.WriteFile(path, []byte(c.log+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(path, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.log, err)
			continue
		}
		var first string
		if err := l.Each(func(r *Request) {
			if first == "" {
				_, first, _ = strings.Cut(text(r), " ")
			}
		}); err != nil || !strings.HasPrefix(first, c.want) || l.Skipped > 0 {
			t.Errorf("%s\n got %s (%v)\nwant %s", c.log, first, err, c.want)
		}
		l.Close()
	}
}

// A format that lacks what is needed says what that is.
func TestCompile(t *testing.T) {
	for format, want := range map[string]string{
		"combined":                            "want nginx's",
		"":                                    "want nginx's",
		"$remote_addr$msec $request_time":     "nothing stands between",
		"$remote_addr $request_time":          "want $time_local, $time_iso8601 or $msec",
		"$remote_addr [$time_local]":          "want $request_time",
		`%h %l %u %t "%r" %>s %b`:             "want %D or %T",
		"%ci:%cp %TR/%Tw/%Tc/%Tr/%Ta":         "want %tr or %t",
		"%ci:%cp [%tr] %ft %b/%s":             "want %Ta or %Tt",
		`log_format x '$msec $request_time';`: "",
		`'$msec ' '$request_time'`:            "",
		"${msec} ${request_time}s":            "",
	} {
		_, err := Compile(format)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", format, err, want)
		}
	}
}

// What is no log with times is said to be none, by name.
func TestNotALog(t *testing.T) {
	write := func(content []byte) string {
		path := filepath.Join(t.TempDir(), "access.log")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	line := `10.0.0.1 - - [26/Nov/2026:23:11:30 +0000] "GET / HTTP/1.1" 200 6 "-" "curl"`
	for content, want := range map[string]string{
		"":                                     "it is empty",
		"\n\n":                                 "it is empty",
		"hello\nworld\n":                       "--log-format",
		line + "\n":                            "it does not say how long requests took",
		line + " 3\n":                          "microseconds (%D) or seconds (%T)",
		strings.Repeat("x", 1<<20):             "--log-format",
		"\x1f\x8bnot really":                   "gzip",
		"\xa1\xb2\xc3\xd4\x00\x02\x00\x04\x00": "--log-format",
	} {
		_, err := Open(write([]byte(content)), Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", content, err, want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	f := must(nginxPorts)
	if _, err := Open(filepath.Join("testdata", "nginx-json.log"), Options{Format: f}); err == nil || !strings.Contains(err.Error(), "none of its first") {
		t.Errorf("%v", err)
	}
}

// Compressed logs are read as they are; one that is cut short is read as far as it goes, and lines that are none
// are counted.
func TestCompressed(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("testdata", "nginx-timing.log"))
	if err != nil {
		t.Fatal(err)
	}
	content = append(content, "what\x00\xff\n"+strings.Repeat("y", 200<<10)+"\n\nlast"...)
	var zipped, zst bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(content)
	_ = w.Close()
	z, _ := zstd.NewWriter(&zst)
	_, _ = z.Write(content)
	_ = z.Close()
	for name, text := range map[string][]byte{"plain": content, "gzip": zipped.Bytes(), "zstd": zst.Bytes(), "cut": zipped.Bytes()[:zipped.Len()-12]} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(path, Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := 0
		err = l.Each(func(*Request) { n++ })
		l.Close()
		if (err != nil) != (name == "cut") || n != 9 || name != "cut" && (l.Lines != 13 || l.Skipped != 3) {
			t.Errorf("%s: %d requests in %d lines, %d skipped, %v", name, n, l.Lines, l.Skipped, err)
		}
	}
}

// No line crashes, and what is read of one is within bounds.
// What of a compressed log is beyond its bound is not read, and that is an error after what was.
func TestUnpackedIsBounded(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "nginx-timing.log"))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "access.log.gz")
	if err := os.WriteFile(path, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.unpacked == nil || l.unpacked.left < mostUnpacked-1<<20 {
		t.Fatalf("it may unpack to %+v", l.unpacked)
	}
	l.unpacked.left = 0 // the sample is read already
	n := 0
	if err := l.Each(func(*Request) { n++ }); n == 0 || !errors.Is(err, errUnpacked) && len(text) > sampled {
		t.Errorf("%d requests of %d bytes, %v", n, len(text), err)
	}
	short := &unpacked{strings.NewReader("0123456789"), 4}
	got := make([]byte, 20)
	if n, err := io.ReadFull(short, got); n != 4 || !errors.Is(err, errUnpacked) {
		t.Errorf("%d bytes of 4, %v", n, err)
	}
}

func FuzzLine(f *testing.F) {
	logs, _ := filepath.Glob("testdata/*.log")
	for _, path := range logs {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.SplitSeq(content, []byte{'\n'}) {
			f.Add(line)
		}
	}
	formats := append([]*Format{must(nginxPorts), must(nginxTiming), must(apachePorts)}, candidates...)
	formats = append(formats, slices.Collect(maps.Values(withPorts))...)
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, format := range formats {
			r, ok := format.read(line, &fields{local: time.UTC})
			if !ok {
				continue
			}
			for _, d := range []time.Duration{r.Took, r.Queue, r.Connect, r.Header, r.Response} {
				if d > 3*longest || d < -1 {
					t.Errorf("%s: %v", format.Name, d)
				}
			}
			if r.Took < 0 || r.Fine <= 0 || r.End <= 0 {
				t.Errorf("%s: %+v", format.Name, r)
			}
		}
	})
}

// A server's words for a format may be anything.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{nginxPorts, nginxTiming, apachePorts, "%ci:%cp [%tr] %{+Q}r %Ta"} {
		f.Add(text, "127.0.0.1 1 2 3")
	}
	f.Fuzz(func(_ *testing.T, text, line string) {
		if format, err := Compile(text); err == nil {
			format.read([]byte(line), &fields{local: time.UTC})
		}
	})
}

// BenchmarkEach reads lines of nginx's timing log.
func BenchmarkEach(b *testing.B) {
	content, err := os.ReadFile(filepath.Join("testdata", "nginx-timing.log"))
	if err != nil {
		b.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte{'\n'})
	f := fields{local: time.UTC}
	b.ReportAllocs()
	for i := range b.N {
		if _, ok := byName.read(lines[i%len(lines)], &f); !ok {
			b.Fatal(string(lines[i%len(lines)]))
		}
	}
}
