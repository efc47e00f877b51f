package nearest

import "testing"

func TestName(t *testing.T) {
	names := []string{"analyze", "inspect", "verify", "extract", "flows", "listen-overflow", "syn-retransmit", "synack-retransmit", "netstat.TcpExt.ListenDrops"}
	for word, want := range map[string]string{
		"analyse": "analyze", "Analyze": "analyze", "anlayze": "analyze", "flow": "flows", "verfy": "verify", "listen": "listen-overflow",
		"listendrops": "netstat.TcpExt.ListenDrops", "synretransmit": "syn-retransmit", "retransmit": "syn-retransmit",
		"netstat": "netstat.TcpExt.ListenDrops", "frobnicate": "", "": "", "x": "", "a": "", "ins": "inspect",
	} {
		if got := Name(word, names); got != want {
			t.Errorf("%q is nearest to %q, want %q", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}, {"flow", "flows", 1}} {
		if got, back := distance(c.a, c.b), distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("from %q to %q %d, back %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}
