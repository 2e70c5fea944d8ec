package track

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxInteger is how many bytes a file with an integer may have.
const maxInteger = 64

var errNoInteger = errors.New("it does not hold an integer")

// parseInteger reads what a file may hold: one integer of 32 bits between white space.
func parseInteger(b []byte) (int, error) {
	if len(b) > maxInteger {
		return 0, errNoInteger
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 32)
	if err != nil {
		return 0, errNoInteger
	}
	return int(n), nil
}

// readInteger reads a regular file without waiting for anybody to open its other end.
func readInteger(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return 0, fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, fmt.Errorf("stat: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, errors.New("it is not a regular file")
	}
	b := make([]byte, 0, maxInteger+1)
	for len(b) < cap(b) {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			break
		}
		b = b[:len(b)+n]
	}
	return parseInteger(b)
}

// watchFolder asks for changes of the files next to path. A file that is written in place
// counts once it is closed, not while it is empty.
func watchFolder(inotify int, path string) (wd int) {
	if inotify < 0 {
		return -1
	}
	const mask = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	wd, err := unix.InotifyAddWatch(inotify, filepath.Dir(path), mask)
	if err != nil {
		return -1
	}
	return wd
}

// changes calls f for every event in b (inotify(7)); a negative watch says that events
// were lost. It is total.
func changes(b []byte, f func(wd int, name string)) {
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int(int32(binary.NativeEndian.Uint32(b)))
		length := int64(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if length > int64(len(b)) {
			return
		}
		name, _, _ := bytes.Cut(b[:length], []byte{0})
		f(wd, string(name))
		b = b[length:]
	}
}
