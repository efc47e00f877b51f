//go:build linux

package rtnl

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
)

const (
	tcmsgSize = 20 // struct tcmsg, include/uapi/linux/rtnetlink.h

	tcaKind   = 1
	tcaStats2 = 7
	// TCA_DUMP_INVISIBLE: with the default disciplines below classes, where drops happen.
	tcaDumpInvisible = 10
)

// classful are the kinds whose classes have counters that their disciplines have not.
var classful = map[string]bool{"htb": true, "hfsc": true, "drr": true, "qfq": true, "ets": true, "cbq": true}

// HasClasses says that Classes has something to tell of a discipline.
func HasClasses(q *member.Qdisc) bool { return classful[q.Kind] }

// Qdiscs calls f for every queue discipline until f says no more.
func Qdiscs(f func(*member.Qdisc) bool) error {
	invisible := binary.NativeEndian.AppendUint16(nil, unix.SizeofNlAttr)
	invisible = binary.NativeEndian.AppendUint16(invisible, tcaDumpInvisible)
	return dump("queue disciplines", unix.RTM_GETQDISC, 0, tcmsgSize, invisible, func(head, attrs []byte) bool {
		return f(decodeQdisc(head, attrs))
	})
}

// Classes calls f for every class of an interface until f says no more.
func Classes(index uint32, f func(*member.Qdisc) bool) error {
	body := make([]byte, tcmsgSize)
	binary.NativeEndian.PutUint32(body[4:], index)
	r := nldump.Request{What: "classes", Protocol: unix.NETLINK_ROUTE, Type: unix.RTM_GETTCLASS, Body: body}
	return nldump.Dump(r, func(_ uint16, b []byte) bool {
		if len(b) < tcmsgSize {
			return true
		}
		q := decodeQdisc(b[:tcmsgSize], b[tcmsgSize:])
		q.Class = true
		return f(q)
	})
}

func decodeQdisc(head, attrs []byte) *member.Qdisc {
	native := binary.NativeEndian
	q := &member.Qdisc{Index: native.Uint32(head[4:]), Handle: handle(native.Uint32(head[8:])), Parent: parent(native.Uint32(head[12:]))}
	for kind, value := range nldump.Attrs(attrs) {
		switch kind {
		case tcaKind:
			q.Kind = nldump.Text(value)
		case tcaStats2:
			qdiscStats(q, value)
		}
	}
	return q
}

// qdiscStats reads TCA_STATS2 (include/uapi/linux/gen_stats.h).
func qdiscStats(q *member.Qdisc, b []byte) {
	native := binary.NativeEndian
	packets64 := false
	for kind, v := range nldump.Attrs(b) {
		switch {
		case kind == 1 && len(v) >= 12: // TCA_STATS_BASIC
			q.Bytes = native.Uint64(v)
			if !packets64 {
				q.Packets = uint64(native.Uint32(v[8:]))
			}
		case kind == 8: // TCA_STATS_PKT64, since Linux 5.5
			q.Packets, packets64 = nldump.Uint(v), true
		case kind == 3 && len(v) >= 20: // TCA_STATS_QUEUE
			q.QLen, q.Backlog, q.Drops = uint64(native.Uint32(v)), uint64(native.Uint32(v[4:])), uint64(native.Uint32(v[8:]))
			q.Requeues, q.Overlimits = uint64(native.Uint32(v[12:])), uint64(native.Uint32(v[16:]))
		}
	}
}

func handle(h uint32) string {
	if h&0xffff == 0 {
		return fmt.Sprintf("%x:", h>>16)
	}
	return fmt.Sprintf("%x:%x", h>>16, h&0xffff)
}

func parent(h uint32) string {
	switch h {
	case 0xffffffff: // TC_H_ROOT
		return "root"
	case 0xfffffff1: // TC_H_INGRESS
		return "ingress"
	}
	return handle(h)
}
