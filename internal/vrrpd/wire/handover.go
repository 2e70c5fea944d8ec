package wire

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A Handed is the sockets of one port, for the program that goes on as this process.
type Handed struct {
	Port   Port   `json:"port"`
	Device string `json:"device"`
	Peers  int    `json:"peers"`  // file descriptors
	Others int    `json:"others"` // file descriptors
}

// Files returns the sockets that hear. What is queued in them, their filters and the
// groups that they joined outlive an exec(2) if they stay open.
func (w *Wire) Files() []Handed {
	out := make([]Handed, 0, len(w.joints))
	for p, j := range w.joints {
		out = append(out, Handed{p, j.device, j.peers, j.others})
	}
	return out
}

// Inherit takes over the sockets of a predecessor. The error tells which it could not
// use; those are closed, and the port can be joined anew.
func (w *Wire) Inherit(handed []Handed) error {
	var errs []error
	for _, h := range handed {
		_, known := w.ears[int32(h.Peers)]
		err := errors.Join(isEar(h.Port, h.Peers), isEar(h.Port, h.Others))
		switch {
		case known || w.joints[h.Port] != nil || h.Peers == h.Others:
			err = errors.New("named twice")
		case err == nil:
			err = w.add(h.Port, &joint{device: h.Device, peers: h.Peers, others: h.Others})
		default:
			for _, fd := range []int{h.Peers, h.Others} {
				if isEar(h.Port, fd) == nil {
					_ = unix.Close(fd)
				}
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("take over sockets of %s: %w", h.Device, err))
		}
	}
	return errors.Join(errs...)
}

// isEar returns what is wrong with a socket that should be a port's. It marks it to be
// closed on exec again.
func isEar(p Port, fd int) error {
	want := map[int]int{unix.SO_DOMAIN: unix.AF_INET, unix.SO_TYPE: unix.SOCK_RAW, unix.SO_PROTOCOL: protocol, unix.SO_BINDTOIFINDEX: p.Index}
	if p.IPv6 {
		want[unix.SO_DOMAIN] = unix.AF_INET6
	}
	for option, value := range want {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return fmt.Errorf("file %d: %w", fd, err)
		}
		if got != value {
			return fmt.Errorf("file %d: socket option %d is %d, want %d", fd, option, got, value)
		}
	}
	unix.CloseOnExec(fd)
	return nil
}
