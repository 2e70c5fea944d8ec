package scene

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/hareconcile/hareconcile/internal/lab"
)

// A Report is what the load client prints; see test/load.
type Report struct {
	Requests   int            `json:"requests"`
	OK         int            `json:"ok"`
	Bodies     map[string]int `json:"bodies"`
	Failed     int            `json:"failed"`
	Failures   []Failure      `json:"failures"`
	LongestGap float64        `json:"longest_gap_ms"`
	GapAt      float64        `json:"gap_at_ms"`
	Slowest    float64        `json:"slowest_ms"`
	Length     float64        `json:"length_ms"`
}

// A Failure is a request without an answer.
type Failure struct {
	At    float64 `json:"at_ms"`
	Error string  `json:"error"`
}

// From returns how many answers came from the server whose body begins with name.
func (r Report) From(name string) int {
	n := 0
	for body, k := range r.Bodies {
		if strings.HasPrefix(body, name) {
			n += k
		}
	}
	return n
}

// A Load is a load client at work.
type Load struct {
	stop chan os.Signal
	done chan struct{} // closed when out, msg, code and err are valid
	out  bytes.Buffer
	msg  bytes.Buffer
	code int
	err  error
}

// Load starts the load client on a host with its own flags. It ends by its own bounds, by
// Stop, or with ctx.
func (s *Scene) Load(ctx context.Context, host string, args ...string) *Load {
	l := &Load{stop: make(chan os.Signal, 1), done: make(chan struct{})}
	go func() {
		l.code, l.err = s.Client.Exec(ctx, lab.Command{
			Host: host, Argv: append([]string{s.LoadClient}, args...), Dir: "/",
			Stdout: &l.out, Stderr: &l.msg, Signals: l.stop,
		})
		close(l.done)
	}()
	return l
}

// Stop ends the load and returns its report.
func (l *Load) Stop() (Report, error) {
	select {
	case l.stop <- syscall.SIGTERM:
	default: // it was told already
	}
	return l.Wait()
}

// Wait returns the report of a load that ends by itself.
func (l *Load) Wait() (Report, error) {
	<-l.done
	var r Report
	if l.err != nil {
		return r, fmt.Errorf("load: %w", l.err)
	}
	if l.code != 0 {
		return r, fmt.Errorf("load: exit code %d: %s", l.code, &l.msg)
	}
	if err := json.Unmarshal(l.out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("load: %w", err)
	}
	return r, nil
}
