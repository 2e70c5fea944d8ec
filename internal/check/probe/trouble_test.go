package probe

import (
	"net"
	"os"
	"syscall"
	"testing"
)

func TestWhatThisHostLacksIsNoFaultOfTheServer(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{
		syscall.EMFILE: true, syscall.EACCES: true, syscall.EAGAIN: true, syscall.EPERM: true, syscall.EADDRNOTAVAIL: true,
		syscall.ECONNREFUSED: false, syscall.ECONNRESET: false, syscall.EHOSTUNREACH: false, syscall.ENETUNREACH: false, syscall.ETIMEDOUT: false,
	} {
		err := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
		if got := ours(err); got != want {
			t.Errorf("ours(%v) = %v, want %v", err, got, want)
		}
	}
}
