package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// The two kinds of parts: those whose verdict is the whole's, and those that only warn,
// whatever they find: an address that leaves for load or a certificate helps nobody.
const (
	moves = true
	warns = false
)

// A report grows part by part.
type report struct {
	parts   []sdk.Part
	moves   []bool
	metrics map[string]float64
	facts   map[string]string
}

func part(name string, s sdk.Status, code, format string, args ...any) sdk.Part {
	return sdk.Part{Name: name, Status: s, Code: code, Detail: fmt.Sprintf(format, args...)}
}

func (r *report) add(p sdk.Part, moves bool) {
	if p.Name == "" {
		return
	}
	if !moves && p.Status == sdk.Fail {
		p.Status = sdk.Warn
	}
	r.parts, r.moves = append(r.parts, p), append(r.moves, moves)
}

// stoppingPart judges a process that takes no new connections any more.
func (r *report) stoppingPart(i haproxy.Info) {
	if i.Stopping() {
		r.add(part("stopping", sdk.Fail, "STOPPING", "haproxy is stopping: process %s takes no new connections", i["Pid"]), moves)
		return
	}
	r.add(part("stopping", sdk.Pass, "", "takes connections"), moves)
}

// result sums up: one failure is enough, then what could not be measured, then warnings.
// A part that only warns and could not be measured is a warning.
func (r *report) result(s *seen) sdk.Result {
	out := sdk.Result{Status: sdk.Pass, Parts: r.parts, Metrics: r.metrics, Facts: r.facts}
	rank := map[sdk.Status]int{sdk.Pass: 0, sdk.Warn: 1, sdk.Unknown: 2, sdk.Fail: 3}
	counts := make([]sdk.Status, len(r.parts))
	for k, p := range r.parts {
		counts[k] = p.Status
		if p.Status == sdk.Unknown && !r.moves[k] {
			counts[k] = sdk.Warn
		}
		if rank[counts[k]] > rank[out.Status] {
			out.Status, out.Code = counts[k], p.Code
		}
	}
	var said []string
	if s.info != nil && out.Status == sdk.Pass {
		said = append(said, "haproxy "+s.info["Version"])
	}
	for k, p := range r.parts {
		quiet := out.Status == sdk.Pass && (p.Name == "process" || p.Name == "runtime" || p.Name == "stopping" || !r.moves[k])
		if counts[k] == out.Status && !quiet {
			said = append(said, p.Detail)
		}
	}
	out.Detail = sentence(said)
	r.figures(s, out.Status)
	return out
}

// maxSaid is how many parts one line tells of; all are in Parts.
const maxSaid = 4

func sentence(said []string) string {
	if more := len(said) - maxSaid; more > 0 {
		said = append(said[:maxSaid:maxSaid], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(said, ", ")
}

// figures sets the metrics and facts that need no part.
func (r *report) figures(s *seen, status sdk.Status) {
	up := 0.0
	if status == sdk.Pass || status == sdk.Warn {
		up = 1
	}
	r.metrics["up"] = up
	if i := s.info; i != nil {
		for name, of := range map[string]string{
			"uptime_seconds": "Uptime_sec", "stopping": "Stopping", "curr_conns": "CurrConns", "max_conns": "Maxconn",
			"idle_pct": "Idle_pct", "run_queue": "Run_queue",
		} {
			if n := i.Number(of); n >= 0 {
				r.metrics[name] = float64(n)
			}
		}
		r.facts["pid"], r.facts["version"] = i["Pid"], i["Version"]
		r.facts["worker_generation"] = i["Pid"]
	}
	if p := s.procs; p != nil {
		r.metrics["old_workers"], r.metrics["reloads_failed"] = float64(len(p.Old)), float64(p.Master.Failed)
		if len(p.Old) > 0 {
			r.metrics["old_worker_age_seconds"] = oldest(p).Seconds()
		}
		r.facts["master_pid"] = strconv.Itoa(p.Master.PID)
		r.facts["reloads"] = strconv.Itoa(p.Master.Reloads)
	}
}
