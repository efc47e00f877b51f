//go:build linux

package capture

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	tcx "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Way is how packets are captured.
type Way string

// The ways of capturing. Auto is the cheaper one, tcx, where it is to be had.
const (
	Auto    Way = "auto"
	TCX     Way = "tcx"     // programs of ours on the interface: Linux 6.6 and later
	TPacket Way = "tpacket" // a packet socket with a TPACKET_V3 ring
)

// ParseWay reads a way by its name.
func ParseWay(name string) (Way, error) {
	switch w := Way(name); w {
	case Auto, TCX, TPacket:
		return w, nil
	}
	return "", fmt.Errorf("%q: want %s, %s or %s", name, Auto, TCX, TPacket)
}

// Variant is the way's name in a manifest.
func (w Way) Variant() string {
	if w == TPacket {
		return "tpacket_v3"
	}
	return string(w)
}

// tapError is why packets are not captured by tcx, in words for an operator.
type tapError struct{ Err error }

// Error is one sentence.
func (e *tapError) Error() string { return "capture by tcx: " + e.reason() }

// Unwrap returns the error as the kernel or cilium/ebpf gave it.
func (e *tapError) Unwrap() error { return e.Err }

// notByTCX is why a packet socket was taken instead.
func notByTCX(err error) string {
	if tap := (*tapError)(nil); errors.As(err, &tap) {
		return "not by tcx: " + tap.reason()
	}
	return "not by tcx: " + err.Error()
}

// reason tells the causes apart. cilium/ebpf reports every EPERM as a low RLIMIT_MEMLOCK.
func (e *tapError) reason() string {
	refused, verifier := errors.AsType[*ebpf.VerifierError](e.Err)
	switch {
	case errors.Is(e.Err, unix.EPERM), errors.Is(e.Err, unix.EACCES) && !verifier:
		return "it needs CAP_BPF and CAP_NET_ADMIN, or the kernel forbids it"
	case errors.Is(e.Err, ebpf.ErrNotSupported):
		return "this kernel does not have it; Linux 6.6 and later do"
	case errors.Is(e.Err, unix.ENOMEM):
		return "the kernel has no memory for a ring of this size"
	case verifier && len(refused.Log) > 0:
		return "the kernel's verifier refuses the programs: " + strings.TrimSpace(refused.Log[len(refused.Log)-1])
	}
	return e.Err.Error()
}

// canTap tries whether this kernel and these privileges have tcx, on an interface that cannot be.
func canTap() error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		return &tapError{err}
	}
	defer prog.Close()
	at, err := tcx.AttachTCX(tcx.TCXOptions{Interface: math.MaxInt32, Program: prog, Attach: ebpf.AttachTCXIngress})
	switch {
	case errors.Is(err, unix.ENODEV):
		return nil
	case err != nil:
		return &tapError{err}
	}
	return at.Close()
}

// bare says whether a program on the interface sees what a packet socket does: an Ethernet
// header, or nothing before IP's. Others, as InfiniBand's, push a header of their own.
func (l link) bare() bool {
	return l.kind() == ethernet || slices.Contains([]uint16{
		unix.ARPHRD_NONE, unix.ARPHRD_PPP, unix.ARPHRD_TUNNEL, unix.ARPHRD_TUNNEL6, unix.ARPHRD_SIT}, l.hardware)
}

// chooseWay settles how packets are captured, once for all interfaces.
func (s *Set) chooseWay() (err error) {
	if s.cfg.PackCPU > 0 {
		if s.packing, err = newPacking(s.cfg.PackCPU); err != nil {
			return err
		}
	}
	if s.cfg.Way == "" {
		s.cfg.Way = Auto
	}
	if s.cfg.Way == TPacket {
		return nil
	}
	s.passing, err = NewPassing()
	if s.cfg.Way == TCX {
		return err
	}
	if err != nil {
		s.noTap = notByTCX(err)
	}
	return nil
}

// Passing is what is noted of handshakes that pass through; nil where packets are captured in another way. It
// goes with the set.
func (s *Set) Passing() *Passing { return s.passing }

// make makes a ring for l that is not bound yet, by the way that was chosen. Where tcx fails for
// one interface, Auto takes a packet socket, and says why.
func (s *Set) make(l link, bytes int) (ring, error) {
	because := s.noTap
	if s.cfg.Way != TPacket && because == "" {
		t, err := had(bytes, func(n int) (*tap, error) { return s.makeTap(l, n) })
		if err == nil {
			return t, nil
		}
		if s.cfg.Way == TCX {
			return nil, err
		}
		because = notByTCX(err)
	}
	return had(bytes, func(n int) (ring, error) { return s.makePackets(l, n, because) })
}

// makePackets makes the ring of a packet socket.
func (s *Set) makePackets(l link, bytes int, because string) (ring, error) {
	packed := s.packedBytes(bytes)
	p, err := open(l.name, l.kind(), bytes-packed, s.cfg.Filter)
	if err != nil {
		return nil, err
	}
	p.packed = s.history(l, packed)
	p.because = because
	if err := s.waker.watch(p); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// makeTap makes a ring of programs.
func (s *Set) makeTap(l link, bytes int) (*tap, error) {
	packed := s.packedBytes(bytes)
	t, err := openTap(s.home, l, bytes-packed, s.cfg.Filter, s.passing)
	if err != nil {
		return nil, err
	}
	t.packed, t.next = s.history(l, packed), 1
	return t, nil
}

// packedBytes is what of a ring's memory is for what is packed: a fifth, where the rest is a ring all the
// same.
func (s *Set) packedBytes(bytes int) int {
	if packed := bytes / packedShare; s.packing != nil && bytes-packed >= minRing() {
		return packed
	}
	return 0
}

// history is where packets of l are packed, in so many bytes at most; nil for none.
func (s *Set) history(l link, bytes int) *history {
	if bytes == 0 {
		return nil
	}
	return &history{packing: s.packing, link: packLink(l.kind()), most: bytes, reach: s.kept()}
}
