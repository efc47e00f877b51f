package kerneltext

import (
	"bytes"
	"fmt"
	"strconv"
)

// ParseTCPStates reads /proc/net/tcp and tcp6: "sl: local remote st …", a line for each
// socket (net/ipv4/tcp_ipv4.c, get_tcp4_sock, Linux 2.6.12 to 6.18). It calls state with
// each socket's, a number of include/net/tcp_states.h, and does not allocate.
func ParseTCPStates(text []byte, state func(uint8)) error {
	return Lines(text, func(_ int, line []byte) error {
		// The first column widens after 9,999 lines, so words are counted from its colon;
		// the header has none.
		_, rest, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			return nil
		}
		var st []byte
		for range 3 {
			st, rest = word(rest)
		}
		v, err := strconv.ParseUint(string(st), 16, 8)
		if err != nil {
			return fmt.Errorf("%q is not a state", Clip(st))
		}
		state(uint8(v))
		return nil
	})
}
