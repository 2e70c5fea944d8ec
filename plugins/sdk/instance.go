package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
)

// A diagnostic is one mistake in a configuration.
type diagnostic struct{ Attribute, Message string }

// configure makes an instance, or says what is wrong with the configuration.
func configure(ctx context.Context, t Tracker, config []byte) (*instance, []diagnostic) {
	v, err := ParseValue(t.Schema(), config)
	if err != nil {
		return nil, diagnostics(err)
	}
	var i Instance
	err = contain(func() (err error) { i, err = t.New(ctx, v); return })
	if err == nil && i == nil {
		err = errors.New("the plugin made no instance")
	}
	if err != nil {
		return nil, diagnostics(err)
	}
	return &instance{i: i}, nil
}

// diagnostics takes apart an error that may be a join of AttributeErrors.
func diagnostics(err error) []diagnostic {
	if join, ok := err.(interface{ Unwrap() []error }); ok {
		var out []diagnostic
		for _, e := range join.Unwrap() {
			out = append(out, diagnostics(e)...)
		}
		return out
	}
	var a *AttributeError
	if errors.As(err, &a) {
		return []diagnostic{{a.Attribute, oneLine(a.Err.Error())}}
	}
	return []diagnostic{{"", oneLine(err.Error())}}
}

// An instance is an Instance of which at most one check runs at a time.
type instance struct {
	i    Instance
	busy atomic.Bool
}

// check makes one check.
func (i *instance) check(ctx context.Context) (r Result) {
	checkAll(ctx, []*instance{i}, 0, func(ready []answer) { r = ready[0].result })
	return r
}

func (i *instance) once(ctx context.Context) (r Result) {
	err := contain(func() (err error) { r, err = i.i.Check(ctx); return })
	switch {
	case err != nil:
		r = Result{Status: Unknown, Code: CodeError, Detail: err.Error()}
	case !r.Status.known():
		r.Status = Unknown
	}
	return r.bounded()
}

func (i *instance) close() {
	if c, ok := i.i.(io.Closer); ok {
		if err := contain(c.Close); err != nil {
			slog.Warn("close instance", "err", err)
		}
	}
}

// contain turns a panic of the plugin's code into an error: one instance must not take the
// others with it.
func contain(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

func oneLine(s string) string {
	if len(s) > maxDetail {
		s = s[:maxDetail]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
