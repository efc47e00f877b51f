package kerneltext

import (
	"fmt"
	"strconv"
	"strings"
)

// Bond is /proc/net/bonding/<bond>.
type Bond struct {
	Mode         string // fault-tolerance (active-backup), IEEE 802.3ad Dynamic link aggregation
	HashPolicy   string // layer3+4 (1); of the modes that have one
	Up           bool
	ActiveSlave  string // empty where the mode has none or none is up
	AggregatorID string // of 802.3ad: the active one
	Slaves       []Slave
}

// Slave is an interface of a bond.
type Slave struct {
	Name         string
	Up           bool
	Speed        string // 10000 Mbps; Unknown
	Duplex       string
	LinkFailures uint64
	AggregatorID string
	// Churned says that the partner does not agree about the aggregation
	// (drivers/net/bonding/bond_3ad.c, actor and partner churn machines).
	Churned bool
}

// ParseBond reads /proc/net/bonding/<bond>: "Key: value" lines, first of the bond, then of
// each slave from its "Slave Interface:" line on (drivers/net/bonding/bond_procfs.c,
// Linux 2.6.12 to 6.18). Keys that this does not know are left out.
func ParseBond(text []byte) (Bond, error) {
	var b Bond
	var slave *Slave
	err := Lines(text, func(_ int, line []byte) error {
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			return nil // headings
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if name == "Slave Interface" {
			b.Slaves = append(b.Slaves, Slave{Name: value})
			slave = &b.Slaves[len(b.Slaves)-1]
			return nil
		}
		if slave != nil {
			return slave.set(name, value)
		}
		b.set(name, value)
		return nil
	})
	if err == nil && b.Mode == "" {
		err = fmt.Errorf("no line \"Bonding Mode: …\" in %d bytes", len(text))
	}
	return b, err
}

// set takes a line about the bond itself. In 802.3ad mode, "Aggregator ID" stands in the
// indented block of the active aggregator.
func (b *Bond) set(name, value string) {
	switch name {
	case "Bonding Mode":
		b.Mode = value
	case "Transmit Hash Policy":
		b.HashPolicy = value
	case "Currently Active Slave":
		if value != "None" {
			b.ActiveSlave = value
		}
	case "MII Status":
		b.Up = value == "up"
	case "Aggregator ID":
		b.AggregatorID = value
	}
}

// set takes a line about one slave.
func (s *Slave) set(name, value string) error {
	switch name {
	case "MII Status":
		s.Up = value == "up"
	case "Speed":
		s.Speed = value
	case "Duplex":
		s.Duplex = value
	case "Aggregator ID":
		s.AggregatorID = value
	case "Actor Churn State", "Partner Churn State":
		s.Churned = s.Churned || value == "churned"
	case "Link Failure Count":
		v, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return fmt.Errorf("slave %s: link failure count %q is not a counter", Clip([]byte(s.Name)), Clip([]byte(value)))
		}
		s.LinkFailures = v
	}
	return nil
}
