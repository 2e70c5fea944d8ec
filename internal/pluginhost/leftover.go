package pluginhost

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
)

// endLeftovers kills what plugins of an earlier host have left behind: processes in whose
// environment is a folder below sockets. A plugin itself ends with its host, but what it has
// started does not when the host is killed, and systemd is not everywhere to end a unit's
// processes. Those that may not be looked at stay.
func endLeftovers(sockets string) {
	list, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	mark := []byte("\x00" + plugin.EnvUnixSocketDir + "=" + sockets + "/")
	for _, e := range list {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Opened before the look, so that the signal goes to who was looked at.
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, env...), mark) {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // it has ended at worst
		}
		_ = unix.Close(fd)
	}
}
