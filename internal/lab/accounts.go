package lab

import (
	"fmt"
	"os"
	"strings"
)

// pluginUser is who plugins run as: the packages make the user (dist/sysusers.d), and so does
// a lab, for its own hosts alone.
const pluginUser = "hareconcile-plugin"

// pluginID is the user's and the group's number where the machine has neither. Debian gives
// numbers from 60000 to 64999 to packages that ask for one, and this is the last of them.
const pluginID = 64999

// gitUser is a second name of root, whose the repository is: it is pushed to from outside.
const gitUser = "git:x:0:0:git:/root:/bin/sh\n"

// accounts gives the calling thread's host the machine's users and groups, and the plugins';
// and on a git server's host, the one that people push as.
func accounts(git bool) error {
	for path, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("%s:x:%d:%d:hareconcile plugins:/:/usr/sbin/nologin\n", pluginUser, pluginID, pluginID),
		"/etc/group":  fmt.Sprintf("%s:x:%d:\n", pluginUser, pluginID),
	} {
		b, err := os.ReadFile(realPath(path))
		if err != nil {
			return fmt.Errorf("read the machine's accounts: %w", err)
		}
		text := strings.TrimRight(string(b), "\n") + "\n"
		if !strings.Contains("\n"+text, "\n"+pluginUser+":") {
			text += line
		}
		if git && path == "/etc/passwd" {
			text = gitUser + text // of two with one name, the first counts
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
