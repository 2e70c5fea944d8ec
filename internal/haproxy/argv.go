package haproxy

import (
	"fmt"
	"strings"
)

// CheckArgs returns the arguments with which haproxy checks the configuration that the process
// with the command line argv loads (management.txt, section 3). Each file or folder of it is
// named as file says. What makes a daemon of it, names other processes or keeps it quiet is
// left out.
func CheckArgs(argv []string, file func(name string) string) []string {
	out := []string{"-c"}
	for i := 1; i < len(argv); i++ {
		switch a := argv[i]; a {
		case "-D", "-W", "-Ws", "-c", "-q", "-V":
		case "-p", "-S", "-x":
			i++
		case "-sf", "-st": // what a reload adds: the processes to replace
			for i+1 < len(argv) && !strings.HasPrefix(argv[i+1], "-") {
				i++
			}
		case "-f":
			if i++; i < len(argv) {
				out = append(out, a, file(argv[i]))
			}
		case "-C", "-L", "-N", "-n", "-m":
			if i++; i < len(argv) {
				out = append(out, a, argv[i])
			}
		case "--":
			for _, name := range argv[i+1:] {
				out = append(out, "-f", file(name))
			}
			return out
		default:
			out = append(out, a)
		}
	}
	return out
}

// ConfigArgs returns the files and folders that a command line names, in order.
func ConfigArgs(argv []string) []string {
	var out []string
	CheckArgs(argv, func(name string) string {
		out = append(out, name)
		return name
	})
	return out
}

// A Message is what haproxy says of a configuration.
type Message struct {
	Alert bool // it is a warning otherwise
	Text  string
}

// ParseMessages reads alerts and warnings in the output of `haproxy -c`, as in
// "[ALERT]    (4711) : config : parsing [a.cfg:3] : ...". What continues on further lines is
// part of the message.
func ParseMessages(output string) []Message {
	var out []Message
	open := false
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		level, rest, tagged := strings.Cut(strings.TrimPrefix(line, "["), "]")
		switch tagged = tagged && strings.HasPrefix(line, "["); {
		case tagged && (level == "ALERT" || level == "WARNING"):
			// Processes differ from run to run.
			if _, text, ok := strings.Cut(rest, ") : "); ok {
				rest = text
			}
			out, open = append(out, Message{level == "ALERT", strings.TrimSpace(rest)}), true
		case tagged:
			open = false
		case open && strings.HasPrefix(line, " ") && len(out[len(out)-1].Text) < 1000:
			out[len(out)-1].Text += " " + strings.TrimSpace(line)
		default:
			open = false
		}
	}
	return out
}

// Reasons quotes the first alerts among messages, but those that only say that there were
// others; "" if there are none.
func Reasons(ms []Message) string {
	var out []string
	for _, m := range ms {
		if m.Alert && !strings.HasPrefix(m.Text, "config : Fatal errors") && !strings.Contains(m.Text, "Error(s) found in configuration") && len(out) < 3 {
			out = append(out, fmt.Sprintf("%.300s", m.Text))
		}
	}
	return strings.Join(out, "; ")
}
