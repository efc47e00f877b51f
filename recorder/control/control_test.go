//go:build linux

package control

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// serve answers on a socket of the test's own as a recorder would.
func serve(t *testing.T, status Status) (client Client, triggers chan format.Trigger) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	triggers = make(chan format.Trigger, 1)
	asked := make(chan chan<- Status)
	go s.Serve(Loop{Triggers: triggers, Asked: asked})
	go func() {
		for answer := range asked {
			answer <- status
		}
	}()
	return Client{Socket: path}, triggers
}

func TestClientAsksServer(t *testing.T) {
	client, triggers := serve(t, Status{Program: "spikeboxd 1", Bundles: 3,
		Interfaces: []InterfaceStatus{{Name: "eth0", Reason: "it is down"}}})
	s, answer, err := client.Status(t.Context())
	if err != nil || s.Program != "spikeboxd 1" || s.Bundles != 3 || len(s.Interfaces) != 1 || s.Interfaces[0].Reason != "it is down" {
		t.Errorf("status %+v (%v)", s, err)
	}
	if !strings.HasPrefix(string(answer), `{"program":"spikeboxd 1"`) || !strings.HasSuffix(string(answer), "}\n") {
		t.Errorf("the answer as it came is %q", answer)
	}
	long := strings.Repeat("x", 2*reasonSize)
	if err := client.Trigger(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	if got := <-triggers; got.Kind != "control" || got.Reason != long[:reasonSize] || got.Time.IsZero() {
		t.Errorf("trigger %s at %v with a reason of %d bytes", got.Kind, got.Time, len(got.Reason))
	}
}

// Nobody who connects while the socket is made is faster than its mode: it has that before it has its name.
func TestSocketHasItsModeFromTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	made := func() fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	config := private(0o600)
	listener, err := config.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if made() != 0o600 {
		t.Errorf("it is made with mode %v", made())
	}
}

// Clients that send without end, half or nothing hold what a few of them take, and for some seconds only.
func TestHostileClients(t *testing.T) {
	client, _ := serve(t, Status{Program: "spikeboxd 1"})
	hostile := func(text string) net.Conn {
		t.Helper()
		conn, err := net.Dial("unix", client.Socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_, _ = io.WriteString(conn, text) // refused where it is long
		return conn
	}
	before := runtime.NumGoroutine()
	var held []net.Conn
	for i := range 500 {
		held = append(held, hostile([]string{"", "GET /status", "GET /status HTTP/1.1\r\nHost: x\r\n", "POST /trigger HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"}[i%4]))
	}
	if n := runtime.NumGoroutine(); n > before+4*clientsMost {
		t.Errorf("%d goroutines for 500 clients, %d before", n, before)
	}
	for _, conn := range held {
		conn.Close()
	}
	answer, err := io.ReadAll(hostile("GET /status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 4*headSize) + "\r\n\r\n"))
	if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
		t.Errorf("a head without end is answered %.40q, %v", answer, err)
	}
	if s, _, err := client.Status(t.Context()); err != nil || s.Program == "" {
		t.Errorf("after them: %+v, %v", s, err)
	}
}

// One recorder a socket: the lock tells, not the socket's file, which a killed one leaves.
func TestSocketIsTakenOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another spikeboxd is armed on it") {
		t.Errorf("a second recorder on the socket: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	second, err := Listen(path)
	if err != nil {
		t.Fatalf("on a socket that a killed one left: %v", err)
	}
	second.Close()
	if none, err := Listen(""); err != nil || none.Close() != nil {
		t.Errorf("without a socket: %v", err)
	}
}

// What is at the path already stays, unless it is a socket that nobody listens at: a name given by mistake must
// cost no file.
func TestOnlyLeftSocketsAreReplaced(t *testing.T) {
	dir := t.TempDir()
	file, folder, link, pipe, stream, datagram := filepath.Join(dir, "file"), filepath.Join(dir, "folder"), filepath.Join(dir, "link"),
		filepath.Join(dir, "pipe"), filepath.Join(dir, "stream"), filepath.Join(dir, "datagram")
	listener, err := net.Listen("unix", stream)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: datagram, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := errors.Join(os.WriteFile(file, []byte("precious"), 0o600), os.Mkdir(folder, 0o700), os.Symlink(file, link), unix.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file: "no socket", folder: "no socket", link: "no socket", pipe: "no socket", stream: "another program listens there", datagram: "another program listens there",
	} {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen at %s: %v, want %q", filepath.Base(path), err, want)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s is not what it was: %v", filepath.Base(path), err)
		}
	}
}

func TestClientErrors(t *testing.T) {
	nowhere := Client{Socket: filepath.Join(t.TempDir(), "none.sock")}
	_, _, err := nowhere.Status(t.Context())
	if _, ok := errors.AsType[*UnreachableError](err); !ok || !errors.Is(err, fs.ErrNotExist) ||
		err.Error() != "ask spikeboxd on "+nowhere.Socket+": no such file or directory" {
		t.Errorf("where nobody listens: %v", err)
	}
	path := filepath.Join(t.TempDir(), "other.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("hello"))
	}))
	other := Client{Socket: path}
	if _, answer, err := other.Status(t.Context()); err == nil || string(answer) != "hello" {
		t.Errorf("an answer that is no status: %q, %v", answer, err)
	}
	if err := other.Trigger(t.Context(), ""); err == nil || !strings.HasSuffix(err.Error(), "503 Service Unavailable: not now") {
		t.Errorf("a trigger that is refused: %v", err)
	}
}
