package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/check/http1"
	"github.com/hareconcile/hareconcile/internal/check/probe"
	"github.com/hareconcile/hareconcile/internal/check/watch"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A manner is how a check is made.
type manner uint8

const (
	byProbe manner = iota
	byConnecting
	byTalking
	byHTTP
	byOthers // samples come from outside
)

// A form is a check, whichever server it asks. All servers of a pool share it.
type form struct {
	spec.Check
	fingerprint string
	port        uint16 // and what at returned for it
	ported      string
	manner      manner
	err         error // why it cannot be made
	text        *answer.Text
	judge       *answer.HTTP
	want        http1.Want
}

func newForm(c *spec.Check) *form {
	f := &form{Check: *c, fingerprint: fingerprint(*c)}
	switch {
	case c.Type == "bfd" || c.Type == "plugin":
		f.manner = byOthers
	case c.Type == "tcp" && c.TLS == nil:
		f.manner = byConnecting
		if c.TCP != nil && (len(c.TCP.Send) > 0 || c.TCP.Expect != "" || c.TCP.Regex != "") {
			f.manner = byTalking
		}
		f.text, f.err = answer.NewText(c.TCP)
	case c.Type == "http" && c.TLS == nil && (c.HTTP == nil || c.HTTP.Version != "2"):
		f.manner = byHTTP
		if f.HTTP == nil {
			f.HTTP = &spec.HTTPCheck{}
		}
		if f.judge, f.err = answer.NewHTTP(*f.HTTP, c.Dynamic); f.err != nil {
			return f
		}
		f.want.Body = f.judge.WantsBody()
		if c.Dynamic {
			f.want.Header = f.HTTP.WeightHeader
		}
	}
	return f
}

// fingerprint is everything that makes c the check that it is, wherever it was written and
// however often it is made.
func fingerprint(c spec.Check) string {
	c.Origin, c.Interval, c.Retry, c.Jitter, c.Rise, c.Fall = spec.Origin{}, 0, 0, 0, 0, 0
	b, err := json.Marshal(c)
	if err != nil {
		panic("checker: a check always marshals: " + err.Error())
	}
	return string(b)
}

// at is the fingerprint of the check of a server with that port, which nearly all share.
func (f *form) at(port uint16) string {
	if f.ported == "" || f.port != port {
		f.port, f.ported = port, strconv.Itoa(int(port))+" "+f.fingerprint
	}
	return f.ported
}

// rules are how samples count. What others tell has been counted by them.
func (f *form) rules() check.Rules {
	if f.manner == byOthers {
		return check.Rules{Rise: 1, Fall: 1}
	}
	return check.Rules{Rise: f.Rise, Fall: f.Fall}
}

// A plan is a check of one server. What is below conn belongs to the loop.
type plan struct {
	*form
	server probe.Target

	conn    *conn              // while it is made by the loop
	cancel  context.CancelFunc // while it is made by a probe
	hung    bool               // it ran into its timeout last
	hanging bool               // and takes a place as such
	ready   bool               // the following is there
	failure error              // why it cannot be made
	address address
	request answer.Request
	bytes   []byte // of request, or what is sent
	probe   probe.Prober

	// What was said last: most samples say the same again.
	said   saying
	judged verdict
}

// targets turns jobs into what a watch.List runs. Jobs of a pool have their checks in common.
func targets(jobs []Job) []watch.Target[*plan] {
	forms := map[*spec.Check]*form{}
	out := make([]watch.Target[*plan], 0, len(jobs))
	for _, j := range jobs {
		pool, server, _ := strings.Cut(string(j.Ref), "/")
		t := watch.Target[*plan]{
			Key: string(j.Ref), Subject: j.Address.Addr().String(), Any: j.Any, Initial: check.State(j.Initial),
			Checks: make([]watch.Check[*plan], 0, len(j.Checks)),
		}
		for i := range j.Checks {
			c := &j.Checks[i]
			if forms[c] == nil {
				forms[c] = newForm(c)
			}
			f := forms[c]
			t.Checks = append(t.Checks, watch.Check[*plan]{
				Fingerprint: f.at(j.Address.Port()), Interval: f.Interval, Retry: f.Retry, Jitter: f.Jitter,
				Rules: f.rules(), Pushed: f.manner == byOthers,
				Probe: &plan{form: f, server: probe.Target{Address: j.Address, Pool: pool, Server: server}},
			})
		}
		out = append(out, t)
	}
	return out
}

// prepare makes what the first sample needs and later ones use again.
func (p *plan) prepare(e *Engine) {
	p.ready = true
	if p.failure = p.form.err; p.failure != nil {
		return
	}
	asked := p.Asked(p.server.Address)
	switch p.manner {
	case byProbe:
		p.probe, p.failure = e.prober(p.Check, p.server, e.Probes)
		return
	case byTalking:
		p.bytes = p.TCP.Send
	case byHTTP:
		if p.request, p.failure = answer.NewRequest(*p.HTTP, false, asked); p.failure != nil {
			return
		}
		p.bytes = p.request.Bytes()
	}
	p.address, p.failure = newAddress(asked, p.Source)
}

// A saying is a message and what it is about.
type saying struct {
	what string
	code int
	text string
}

// say returns the message about what, which is a system call that failed with the error
// number code, or "connected" or "timed out".
func (p *plan) say(what string, code int, text func() string) string {
	if p.said.text == "" || p.said.what != what || p.said.code != code {
		p.said = saying{what, code, p.Type + ": " + text()}
	}
	return p.said.text
}

// sample turns an outcome into a sample. took is how long it took.
func (p *plan) sample(out answer.Outcome, took time.Duration) watch.Sample {
	s := watch.Sample{State: check.Up, Degraded: out.Degraded, Weight: out.Weight, HasWeight: out.HasWeight}
	switch {
	case out.Unmeasured:
		return watch.Sample{State: check.Unknown, Message: fmt.Sprintf("%s: could not measure: %v", p.Type, out.Err)}
	case out.Err != nil:
		return watch.Sample{State: check.Down, Message: p.Type + ": " + out.Err.Error()}
	}
	s.Message = p.Type + ": " + out.Message
	return p.timed(s, took)
}

// timed calls a sample degraded that passes and took too long.
func (p *plan) timed(s watch.Sample, took time.Duration) watch.Sample {
	if s.State == check.Up && p.DegradedAfter > 0 && took > p.DegradedAfter && p.manner != byProbe { // probes do so themselves
		s.Degraded = true
		s.Message += fmt.Sprintf(", after %v", took.Round(time.Millisecond))
	}
	return s
}

// A verdict is what a check that looks at nothing else makes of a status.
type verdict struct {
	status int
	sample watch.Sample
}

// judgeAnswer returns the sample of an answer.
func (p *plan) judgeAnswer(r *http1.Reader, took time.Duration) watch.Sample {
	simple := !p.want.Body && !p.Dynamic
	if simple && p.judged.status == r.Status {
		return p.timed(p.judged.sample, took)
	}
	out := p.judge.Judge(answer.Response{
		Status: r.Status, Body: r.Body, Cut: r.Cut,
		Header: func(string) string { return string(r.Value) },
	})
	if simple {
		p.judged = verdict{r.Status, p.sample(out, 0)}
		return p.timed(p.judged.sample, took)
	}
	return p.sample(out, took)
}
