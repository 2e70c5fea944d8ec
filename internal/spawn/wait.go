package spawn

import (
	"syscall"
	"unsafe"
)

// AwaitExit returns when the child has ended and is not reaped yet (waitid(2)).
func AwaitExit(pid int) {
	const idPid, exited, noWait = 1, 4, 0x01000000
	var info [128]byte
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, idPid, uintptr(pid),
			uintptr(unsafe.Pointer(&info)), exited|noWait, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}
