package member

import (
	"fmt"
	"io"
	"strings"
)

// EthtoolFolder holds what the drivers of interfaces tell (SPEC.md, "static/ethtool/").
const EthtoolFolder = StaticFolder + "ethtool/"

// StatisticsName holds the drivers' own counters, at the trigger and at the end.
const StatisticsName = EthtoolFolder + "statistics.jsonl"

// Statistics is one line of static/ethtool/statistics.jsonl.
type Statistics struct {
	At         string            `json:"at"`   // AtTrigger, AtEnd
	Time       int64             `json:"time"` // after this interface had answered
	Interface  string            `json:"interface"`
	Statistics map[string]uint64 `json:"statistics"` // by the driver's names
}

// NIC is static/ethtool/<interface>.json, the settings at the end of the window. A question
// that the driver does not know is in Unsupported, one that went wrong in Errors.
type NIC struct {
	Interface   string            `json:"interface"`
	Index       uint32            `json:"ifindex"`
	Driver      *NICDriver        `json:"driver,omitempty"`
	Link        *NICLink          `json:"link,omitempty"`
	Ring        map[string]uint32 `json:"ring,omitempty"`
	Channels    map[string]uint32 `json:"channels,omitempty"`
	Coalesce    map[string]uint32 `json:"coalesce,omitempty"`
	Pause       map[string]uint32 `json:"pause,omitempty"`
	Features    map[string]string `json:"features,omitempty"`
	Unsupported []string          `json:"unsupported,omitempty"`
	Errors      map[string]string `json:"errors,omitempty"`
}

// NICDriver is who drives an interface.
type NICDriver struct {
	Name     string `json:"name"`
	Version  string `json:"version,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	Bus      string `json:"bus,omitempty"`
}

// NICLink is the state of the link. What the driver does not know is absent.
type NICLink struct {
	Detected        *bool   `json:"detected,omitempty"`
	Speed           *uint32 `json:"speed_mbits,omitempty"`
	Duplex          string  `json:"duplex,omitempty"` // half or full
	Autonegotiation *bool   `json:"autoneg,omitempty"`
	Port            *uint8  `json:"port,omitempty"` // PORT_*: 0 twisted pair, 3 fibre, 5 direct attach, 255 other …
}

// NICName makes the member's name of the name of an interface, which may hold almost any
// byte but a slash, so that it is safe in a bundle and on every system. What had to be
// changed gets its ifindex, so that no two are the same; a reader takes the name from the
// content.
func NICName(name string, index uint32) string {
	safe := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '@' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, name)
	if safe != name || strings.Trim(safe, ".") == "" {
		safe = fmt.Sprintf("%s~%d", safe, index)
	}
	return EthtoolFolder + safe + ".json"
}

// NewStatisticsWriter writes static/ethtool/statistics.jsonl.
func NewStatisticsWriter(w io.Writer) *Writer[Statistics] { return NewWriter[Statistics](w) }

// ParseStatistics reads static/ethtool/statistics.jsonl.
func ParseStatistics(text []byte) ([]Statistics, error) {
	return collect(text, EachStatistics)
}

// EachStatistics reads statistics.jsonl, a reading at a time.
func EachStatistics(r io.Reader, f func(*Statistics)) error {
	return eachRow(r, "not a driver's statistics", nil, f)
}

// Append appends the whole member of one interface.
func (n *NIC) Append(b []byte) ([]byte, error) { return appendDocument(b, n) }

// ParseNIC reads static/ethtool/<interface>.json.
func ParseNIC(text []byte) (*NIC, error) {
	return parseDocument[NIC](text, "read settings of an interface")
}
