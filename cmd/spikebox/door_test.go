package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Whatever a bundle says, no command prints more of it than what a terminal shows: every
// string of a bundle is poisoned, and every command is run on it in every form.
func TestNothingOfABundleCommandsTheTerminal(t *testing.T) {
	for name, p := range poisons {
		dir := t.TempDir()
		// Names on the command line are as little ours as what is in the file.
		path := filepath.Join(dir, "in\x1b[31m\u202e\u009b\n.spike.tar.zst")
		if err := os.WriteFile(path, poisoned(t, p), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, line := range [][]string{
			{"analyze", "-o", filepath.Join(dir, "report"), path}, {"analyze", "--json", path},
			{"inspect", path}, {"inspect", "--json", path}, {"verify", path},
			{"timeline", path}, {"timeline", "--csv", path}, {"timeline", "--json", path}, {"timeline", "--series", "x\x1b\u202e*", path},
			{"histogram", path}, {"histogram", "--json", path},
			{"flows", path}, {"flows", "--wide", "--sort", "bytes", path}, {"flows", "--csv", path}, {"flows", "--json", path}, {"flows", "--events", "1", path},
			{"diff", path, path}, {"diff", "--json", path, "../../testdata/bundles/v1/healthy.spike.tar.zst"},
			{"show", "kmsg", path}, {"show", "events", path}, {"show", "drops", path}, {"show", "sockets", path}, {"show", "processes", path},
			{"show", "conntrack", path}, {"show", "stacks", path}, {"show", "settings", path}, {"show", "\x1b\u202e", path},
			{"packets", path}, {"packets", "--finding", "\x1b\u202e", path}, {"packets", "--around", "\x1b\u202e", path},
			{"flows", "--events", "\x1b[31m\u202e", path}, {"flows", "--sort", "\x1b\u202e", path},
			{"replay", "--trigger", "listen.overflows > 0", path}, {"replay", "--json", "--trigger", "syn_recv\u202e > 1", path},
			{"extract", "-o", filepath.Join(dir, "out"), path}, {"extract", "-o", filepath.Join(dir, "out"), path, "no\x1b\u202e"},
			{"analyze", path + "\u202e"}, {"an\x1b\u202ealyze"}, {"analyze", "--\x1b\u202e"}, {"explain", "\x1b\u202e"}, {"help", "\u202e"},
		} {
			out := spikebox(t, line...)
			// The poison is there: what is not printed would pass, too.
			all := append(out.stdout, out.stderr...)
			if visible := bytes.Contains(all, []byte(`\u202e`)); !visible && line[0] != "verify" && line[0] != "flows" {
				t.Errorf("%s: %q prints no poison, and shows nothing", name, line)
			}
			t.Run(name+"/"+strconv.QuoteToASCII(strings.Join(line[:len(line)-1], " ")), func(t *testing.T) { out.check(t, line) })
		}
		checkFiles(t, dir, path)
	}
}

// What listens on the control socket is believed as little.
func TestNothingOfTheSocketCommandsTheTerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	evil := token + "\n"
	answer, err := json.Marshal(map[string]any{
		"program": evil, "host": evil, "triggers": []string{evil}, "last_bundle": evil, "last_error": evil,
		"interfaces": []any{map[string]string{"name": evil, "state": evil}}, "sources": []any{map[string]string{"name": evil, "state": evil, "reason": evil}},
	})
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			http.Error(w, evil, http.StatusServiceUnavailable)
			return
		}
		w.Write(append(answer, '\n'))
	}))
	for _, line := range [][]string{{"status"}, {"status", "--json"}, {"trigger"}} {
		spikebox(t, append(line, "--control", path)...).check(t, line)
	}
	answer = []byte("no JSON " + token)
	for _, line := range [][]string{{"status"}, {"status", "--json"}} {
		out := spikebox(t, append(line, "--control", path)...)
		out.check(t, nil)
		if out.code != 1 {
			t.Errorf("%q of an answer that is no JSON: exit code %d", line, out.code)
		}
	}
}

// printed is what a command said.
type printed struct {
	stdout, stderr []byte
	code           int
}

func spikebox(t *testing.T, args ...string) (p printed) {
	t.Helper()
	cmd := exec.Command("spikebox", args...) // testscript.Main put it on the path
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return printed{stdout.Bytes(), stderr.Bytes(), cmd.ProcessState.ExitCode()}
}

// check looks at both outputs, and at the form that was asked for.
func (p printed) check(t *testing.T, line []string) {
	t.Helper()
	for _, out := range [][]byte{p.stdout, p.stderr} {
		if bad := shown(string(out), "\n\t"); bad != "" {
			t.Errorf("%q printed %s", line, bad)
		}
	}
	if out := string(p.stdout) + string(p.stderr); strings.Contains(out, "strconv.") {
		t.Errorf("%q tells of Go: %q", line, out[max(0, strings.Index(out, "strconv.")-80):])
	}
	for l := range strings.Lines(string(p.stderr)) { // a stranger's line feed begins no message
		if !strings.HasPrefix(l, "spikebox: ") {
			t.Errorf("%q said %q", line, l)
		}
	}
	has := func(flag string) bool { return strings.Contains(strings.Join(line, " "), flag) }
	switch {
	case has("--json") && len(p.stdout) > 0:
		for dec := json.NewDecoder(bytes.NewReader(p.stdout)); dec.More(); {
			var v any
			if err := dec.Decode(&v); err != nil {
				t.Fatalf("%q is no JSON: %v", line, err)
			}
		}
	case has("--csv"):
		rows, err := csv.NewReader(bytes.NewReader(p.stdout)).ReadAll()
		if err != nil {
			t.Errorf("%q is no CSV: %v", line, err)
		}
		for _, row := range rows {
			for _, f := range row {
				if _, err := strconv.ParseFloat(f, 64); err != nil && f != "" && strings.Contains("=+-@＝＋－＠", f[:1]) {
					t.Fatalf("%q gives a spreadsheet the formula %q", line, f)
				}
			}
		}
	}
}

// checkFiles looks at the names of all files that were written below dir, and into those of analyze.
func checkFiles(t *testing.T, dir, input string) {
	t.Helper()
	reports, members := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == input {
			return err
		}
		if bad := shown(d.Name(), ""); bad != "" {
			t.Errorf("extracted a file whose name has %s", bad)
		}
		if d.IsDir() || !strings.Contains(path, "/report/") {
			members++
			return nil
		}
		if filepath.Ext(path) == ".png" { // dots
			return nil
		}
		reports++
		content, err := os.ReadFile(path)
		if bad := shown(string(content), "\n"); bad != "" {
			t.Errorf("%s has %s", d.Name(), bad)
		}
		return err
	})
	if err != nil || reports < 7 || members < 50 {
		t.Errorf("%d reports, %d members, %v", reports, members, err)
	}
}

// shown names the first character that a terminal would not just show.
func shown(s, layout string) string {
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) && !strings.ContainsRune(layout, r) {
			return fmt.Sprintf("%q at %d: %q", s[i:i+size], i, s[max(0, i-40):min(len(s), i+20)])
		}
	}
	return ""
}
