package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Proc is one process in the reply to `show proc`.
type Proc struct {
	PID     int
	Reloads int // how many reloads ago it was started; of the master, how many there were
	// Failed is how many reloads in a row have failed; of the master alone.
	Failed int
	Uptime time.Duration // since its start, in whole seconds
}

// Procs is the reply to `show proc`, which the master gives.
type Procs struct {
	Master  Proc
	Workers []Proc // that serve, or start
	Old     []Proc // that end once their connections have
}

// Replaced returns how long ago a worker was replaced: that is for how long those who came next
// have run.
func (p Procs) Replaced(old Proc) time.Duration {
	var out time.Duration
	for _, later := range slices.Concat(p.Workers, p.Old) {
		if later.Reloads < old.Reloads {
			out = max(out, later.Uptime)
		}
	}
	return out
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
		p := Proc{PID: pid, Reloads: reloads, Uptime: uptime(f)}
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
	if len(out.Workers) == 0 && len(out.Old) > 0 {
		out.serving()
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
	if strings.Contains(log, "Another reload is still in progress") {
		return ErrBusy
	}
	if reasons := Reasons(ParseMessages(log)); reasons != "" {
		return fmt.Errorf("haproxy says: %s", reasons)
	}
	log = strings.Join(strings.Fields(strings.TrimPrefix(log, "--")), " ")
	return fmt.Errorf("haproxy says: %.400s", log)
}

// ErrBusy is what the error is of a reload for which a master has no time: since 3.1 it takes
// none while it starts, or until an earlier one is done.
var ErrBusy = errors.New("haproxy is not done with an earlier reload, or its start")

// serving makes a worker of the latest old one: after a reload that failed, haproxy 3.1 and
// later show the one that serves on among the old ones. They count no failure where the master
// itself could not read the configuration.
func (p *Procs) serving() {
	latest := 0
	for i := range p.Old {
		if p.Old[i].Reloads < p.Old[latest].Reloads {
			latest = i
		}
	}
	p.Workers = []Proc{p.Old[latest]}
	p.Old = slices.Delete(p.Old, latest, latest+1)
	p.Master.Failed = max(p.Master.Failed, p.Workers[0].Reloads)
}

// uptime finds the column with the time since the start, as in 0d00h01m02s. It is 0 where there
// is none.
func uptime(columns []string) time.Duration {
	for _, c := range columns[3:] {
		days, rest, ok := strings.Cut(c, "d")
		n, err := strconv.ParseUint(days, 10, 16)
		if d, err2 := time.ParseDuration(rest); ok && err == nil && err2 == nil && d >= 0 {
			return time.Duration(n)*24*time.Hour + d
		}
	}
	return 0
}
