//go:build linux

package namespaces

import "testing"

// What an operator may write, the name of its files, and what is refused.
func TestParse(t *testing.T) {
	const id = "4f1e6b2c9d0a4f1e6b2c9d0a4f1e6b2c9d0a4f1e6b2c9d0a4f1e6b2c9d0a4f1e"
	for spec, want := range map[string]string{
		"own": "own", "pid:42": "pid-42", "/run/netns/blue": "blue", "container:" + id: "4f1e6b2c9d0a", "container:4f1e6b2c9d0a": "4f1e6b2c9d0a",
		"": "", "mine": "", "pid:0": "", "pid:x": "", "pid:": "", "container:4f1e": "", "container:../../etc/passwd": "", "run/netns/blue": "",
	} {
		got, err := Parse(spec)
		if (err == nil) != (want != "") || err == nil && got.Label() != want {
			t.Errorf("%q is %q (%v), want %q", spec, got.Label(), err, want)
		}
	}
}
