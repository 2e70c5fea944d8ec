package sys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NoCore keeps what is in this process's memory, such as secrets, out of core dumps, also those
// that core_pattern pipes to a program, which RLIMIT_CORE does not keep (core(5)). A program
// that it becomes has to say so again.
func NoCore() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}
