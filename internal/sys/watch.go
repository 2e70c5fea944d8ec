package sys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settle is how long Watch waits for the rest of a burst, and longest for how long at most.
	settle  = 2 * time.Millisecond
	longest = 20 * time.Millisecond
)

// Watch calls changed when addresses or links of this thread's network namespace change, at
// once and then once more for the rest of a burst of events, until ctx ends. Events that the kernel had to drop count as a
// change. changed must not block.
func Watch(ctx context.Context, changed func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("watch addresses: %w", err)
	}
	f := os.NewFile(uintptr(fd), "rtnetlink")
	defer f.Close()
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return fmt.Errorf("watch addresses: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	buf := make([]byte, 64<<10)
	for ctx.Err() == nil {
		_, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, unix.ENOBUFS):
			return fmt.Errorf("watch addresses: %w", err)
		}
		changed()
		if drain(ctx, f, buf) {
			changed()
		}
	}
	return nil
}

// drain reads events until there is none for a moment, and reports whether there was one.
func drain(ctx context.Context, f *os.File, buf []byte) (more bool) {
	end := time.Now().Add(longest)
	for ctx.Err() == nil && time.Now().Before(end) {
		_ = f.SetReadDeadline(time.Now().Add(settle))
		if _, err := f.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
			break
		}
		more = true
	}
	_ = f.SetReadDeadline(time.Time{})
	if ctx.Err() != nil { // the end of ctx may have set its deadline before we cleared it
		_ = f.SetReadDeadline(time.Unix(1, 0))
	}
	return more
}
