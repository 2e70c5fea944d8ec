package wire

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A Handed is what the program that goes on as this process gets of a Wire: the numbers of
// its open files.
type Handed struct {
	// Frames is the packet socket: the kernel takes long to close one.
	Frames int    `json:"frames"`
	Ears   []Ears `json:"ears"`
}

// An Ears is the sockets of one port.
type Ears struct {
	Port   Port   `json:"port"`
	Device string `json:"device"`
	Peers  int    `json:"peers"`
	Others int    `json:"others"`
}

// Files returns what a successor needs. What is queued in the sockets, their filters and
// the groups that they joined outlive an exec(2) if they stay open.
func (w *Wire) Files() Handed {
	h := Handed{Frames: w.frames}
	for p, j := range w.joints {
		h.Ears = append(h.Ears, Ears{p, j.device, j.peers, j.others})
	}
	return h
}

// All are the numbers of all files.
func (h Handed) All() []int {
	fds := []int{h.Frames}
	for _, e := range h.Ears {
		fds = append(fds, e.Peers, e.Others)
	}
	return fds
}

// Inherit is Open with the files of a predecessor. The second error tells which of them
// are of no use; those are closed, and their ports can be joined anew.
func Inherit(h Handed) (w *Wire, err, lost error) {
	w = closed()
	if lost = isSocket(h.Frames, unix.AF_PACKET, 0); lost == nil {
		w.frames = h.Frames
	}
	if err := w.open(); err != nil {
		w.Close()
		return nil, err, nil
	}
	for _, e := range h.Ears {
		if err := w.inherit(e); err != nil {
			lost = errors.Join(lost, fmt.Errorf("take over sockets of %s: %w", e.Device, err))
		}
	}
	return w, nil, lost
}

func (w *Wire) inherit(e Ears) error {
	_, known := w.ears[int32(e.Peers)]
	_, others := w.ears[int32(e.Others)]
	if known || others || w.joints[e.Port] != nil || e.Peers == e.Others {
		return errors.New("named twice")
	}
	var errs []error
	for _, fd := range []int{e.Peers, e.Others} {
		errs = append(errs, isEar(e.Port, fd))
	}
	if errors.Join(errs...) == nil {
		return w.add(e.Port, &joint{device: e.Device, peers: e.Peers, others: e.Others})
	}
	for i, fd := range []int{e.Peers, e.Others} {
		if errs[i] == nil {
			_ = unix.Close(fd)
		}
	}
	return errors.Join(errs...)
}

// isEar returns what is wrong with a socket that should be a port's.
func isEar(p Port, fd int) error {
	family := unix.AF_INET
	if p.IPv6 {
		family = unix.AF_INET6
	}
	if err := isSocket(fd, family, protocol); err != nil {
		return err
	}
	index, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX)
	if err == nil && index != p.Index {
		err = fmt.Errorf("bound to %d, want %d", index, p.Index)
	}
	return err
}

// isSocket returns what is wrong with a file that should be a raw socket. It marks it to
// be closed on exec again.
func isSocket(fd, family, protocol int) error {
	for option, want := range map[int]int{unix.SO_DOMAIN: family, unix.SO_TYPE: unix.SOCK_RAW, unix.SO_PROTOCOL: protocol} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return fmt.Errorf("file %d: %w", fd, err)
		}
		if got != want {
			return fmt.Errorf("file %d: socket option %d is %d, want %d", fd, option, got, want)
		}
	}
	unix.CloseOnExec(fd)
	return nil
}
