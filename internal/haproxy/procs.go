package haproxy

import (
	"fmt"
	"strconv"
	"strings"
)

// A Proc is one process in the reply to `show proc`.
type Proc struct {
	PID     int
	Reloads int // how many reloads ago it was started; of the master, how many there were
	// Failed is how many reloads in a row have failed; of the master alone.
	Failed int
}

// Procs is the reply to `show proc`, which the master gives.
type Procs struct {
	Master  Proc
	Workers []Proc // that serve
	Old     []Proc // that end once their connections have
}

// ParseProcs reads the reply to `show proc`.
func ParseProcs(reply string) (Procs, error) {
	var out Procs
	section := ""
	for line := range strings.Lines(reply) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			continue
		case strings.HasPrefix(line, "# "):
			section = strings.TrimPrefix(line, "# ")
			continue
		case strings.HasPrefix(line, "#"): // the columns
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		reloads, err2 := strconv.Atoi(f[2])
		if err != nil || err2 != nil {
			return Procs{}, fmt.Errorf("show proc: %w: %.80q", ErrReply, line)
		}
		p := Proc{PID: pid, Reloads: reloads}
		switch {
		case f[1] == "master":
			if _, failed, ok := strings.Cut(line, "[failed: "); ok {
				n, _, _ := strings.Cut(failed, "]")
				p.Failed, _ = strconv.Atoi(n) // what is no number counts as none
			}
			out.Master = p
		case f[1] == "worker" && strings.HasPrefix(section, "old"):
			out.Old = append(out.Old, p)
		case f[1] == "worker":
			out.Workers = append(out.Workers, p)
		}
	}
	if out.Master.PID == 0 {
		return Procs{}, fmt.Errorf("show proc: %w", ErrReply)
	}
	return out, nil
}

// ParseReload reads the reply to `reload`. Before 2.7 the master says nothing; since then it
// says Success=1 or Success=0, and what it logged. The error has that.
func ParseReload(reply string) error {
	_, rest, ok := strings.Cut(reply, "Success=")
	if !ok || strings.HasPrefix(rest, "1") {
		return nil
	}
	_, log, _ := strings.Cut(rest, "\n")
	log = strings.Join(strings.Fields(strings.TrimPrefix(log, "--")), " ")
	return fmt.Errorf("haproxy says: %.400s", log)
}
