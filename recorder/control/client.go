package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// answerTime bounds a question to the recorder, which answers between two ticks.
	answerTime = 10 * time.Second
	// drillTime bounds a drill, in which a bundle is written: seconds, and on a host with 100,000 sockets
	// and a slow disk some more.
	drillTime = time.Minute
	// answerSize bounds an answer: a status of a thousand interfaces has some 300 KiB.
	answerSize = 16 << 20
)

// Client asks the recorder that listens on a socket.
type Client struct{ Socket string }

// UnreachableError is that nobody could be asked: there is no recorder, or its socket is
// not for this user.
type UnreachableError struct {
	Socket string
	Err    error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("ask spikeboxd on %s: %v", e.Socket, e.Err)
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Status asks what the recorder records and how it is. answer is its JSON as it came, which
// may tell more than a Status where the recorder is newer; it is there with an error too
// where it is no Status.
func (c Client) Status(ctx context.Context) (s Status, answer []byte, err error) {
	if answer, err = c.ask(ctx, answerTime, http.MethodGet, "/status", ""); err != nil {
		return s, nil, err
	}
	if err := json.Unmarshal(answer, &s); err != nil {
		return s, answer, fmt.Errorf("read the recorder's answer: %w", err)
	}
	return s, answer, nil
}

// Trigger has the recorder cut a bundle now, and gives the reason to its manifest.
func (c Client) Trigger(ctx context.Context, reason string) error {
	_, err := c.ask(ctx, answerTime, http.MethodPost, "/trigger", reason)
	return err
}

// Drill has the recorder prove that it records. answer is its JSON as it came.
func (c Client) Drill(ctx context.Context) (d Drill, answer []byte, err error) {
	if answer, err = c.ask(ctx, drillTime, http.MethodPost, "/drill", ""); err != nil {
		return d, nil, err
	}
	if err := json.Unmarshal(answer, &d); err != nil {
		return d, answer, fmt.Errorf("read the recorder's answer: %w", err)
	}
	return d, answer, nil
}

// ask sends one request and gives the answer.
func (c Client) ask(ctx context.Context, most time.Duration, method, path, body string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		// The connection is used once; kept open, it would hold the recorder's goroutine.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://spikeboxd"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &UnreachableError{c.Socket, rootCause(err)}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerSize))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask spikeboxd on %s: %s: %s", c.Socket, resp.Status, strings.TrimSpace(string(answer)))
	}
	return answer, err
}

// rootCause drops the URL that net/http puts before an error: it means nothing here.
func rootCause(err error) error {
	for {
		wrapper, ok := err.(interface{ Unwrap() error })
		if !ok || wrapper.Unwrap() == nil {
			return err
		}
		err = wrapper.Unwrap()
	}
}
