package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// within makes one call with a deadline.
func within[T any](ctx context.Context, most time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return call(ctx)
}

// check makes one check with a deadline.
func (c *Client) check(ctx context.Context, instance string, most time.Duration) (sdk.Result, error) {
	return within(ctx, most, func(ctx context.Context) (sdk.Result, error) { return c.Check(ctx, instance) })
}

// accept makes an instance of a configuration that must be right.
func (c *Client) accept(ctx context.Context, instance, config string) error {
	wrong, err := within(ctx, patience, func(ctx context.Context) ([]Mistake, error) { return c.Configure(ctx, instance, config) })
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("configuration %.200s is refused: %s: %s", config, wrong[0].Attribute, wrong[0].Message)
		if config == "{}" {
			err = fmt.Errorf("%w; give one that it accepts (-config)", err)
		}
	}
	return err
}

// blamed returns the attributes that are blamed for a configuration.
func (c *Client) blamed(ctx context.Context, config string) ([]string, error) {
	wrong, err := within(ctx, patience, func(ctx context.Context) ([]Mistake, error) { return c.Configure(ctx, "bad", config) })
	var out []string
	for _, m := range wrong {
		out = append(out, m.Attribute)
	}
	return out, err
}

// mistakes puts one mistake after the other into a configuration.
func mistakes(ctx context.Context, o Options) (string, error) {
	d, _, err := Describe(ctx, o)
	if err != nil {
		return "", err
	}
	p, err := Start(o)
	if err != nil {
		return "", err
	}
	defer p.Close()
	var wrong list
	var required []string
	names := slices.Sorted(maps.Keys(d.Attributes))
	for _, name := range names {
		if d.Attributes[name].Required {
			required = append(required, name)
		}
	}
	try := func(what, config string, right func(blamed []string) bool) {
		got, err := p.blamed(ctx, config)
		if err != nil {
			wrong.addf("%s: %w, want diagnostics", what, err)
		} else if !right(got) {
			wrong.addf("%s: mistakes in %q", what, got)
		}
	}
	blames := func(name string) func([]string) bool {
		return func(got []string) bool { return slices.Contains(got, name) }
	}
	if len(required) > 0 {
		try("without required attributes", "{}", func(got []string) bool {
			slices.Sort(got)
			return slices.Equal(got, required)
		})
	}
	try("unknown attribute", `{"no such attribute": 1}`, blames("no such attribute"))
	for _, name := range names {
		try(fmt.Sprintf("an object for %q", name), fmt.Sprintf(`{%q: {"a": 1}}`, name), blames(name))
	}
	for _, config := range []string{"[]", "1", "{", "\x00", strings.Repeat("[", 10_000), `{} {}`} {
		try(fmt.Sprintf("configuration %.20q", config), config, func(got []string) bool { return len(got) > 0 })
	}
	return "", wrong.err()
}

// running starts the plugin and makes instance "a" of its configuration.
func running(ctx context.Context, o Options) (*Process, error) {
	p, err := Start(o)
	if err != nil {
		return nil, err
	}
	if err := p.accept(ctx, "a", o.config()); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func checked(ctx context.Context, o Options) (string, error) {
	p, err := running(ctx, o)
	if err != nil {
		return "", err
	}
	defer p.Close()
	r, err := p.check(ctx, "a", patience)
	if err != nil {
		return "", err
	}
	var wrong list
	if r.Detail == "" {
		wrong.addf("the result %q has no detail, which is what people read", r.Status)
	}
	all, err := within(ctx, patience, func(ctx context.Context) ([]*sdk.Result, error) { return p.CheckAll(ctx, "a", "none") })
	switch {
	case err != nil:
		wrong.addf("%w", err)
	case all != nil && (all[0] == nil || all[1] != nil):
		wrong.addf("check all of one instance that there is, and one that there is not, answers %v", all)
	}
	forget := func(name string) {
		_, err := within(ctx, patience, func(ctx context.Context) (int, error) { return 0, p.Forget(ctx, name) })
		if err != nil {
			wrong.addf("%s: %w", name, err)
		}
	}
	forget("a")
	forget("an instance that there never was")
	if _, err := p.check(ctx, "a", patience); status.Code(errors.Unwrap(err)) != codes.NotFound {
		wrong.addf("check of an instance that was forgotten: %v, want NOT_FOUND", err)
	}
	return fmt.Sprintf("%s: %s", r.Status, r.Detail), wrong.err()
}

// deadlines gives checks little time. On a busy machine an answer may be late now and then.
func deadlines(ctx context.Context, o Options) (string, error) {
	const checks, each, mayBeLate = 20, 100 * time.Millisecond, 4
	p, err := running(ctx, o)
	if err != nil {
		return "", err
	}
	defer p.Close()
	var wrong list
	late := 0
	for range checks {
		if _, err := p.check(ctx, "a", each); status.Code(errors.Unwrap(err)) == codes.DeadlineExceeded {
			late++
		} else if err != nil {
			wrong.addf("with %v for it: %w", each, err)
		}
	}
	if late > mayBeLate {
		wrong.addf("%d of %d checks were not answered within the %v that they had; what cannot be said in time is unknown", late, checks, each)
	}
	if _, err := p.check(ctx, "a", patience); err != nil {
		wrong.addf("afterwards, with %v: %w", patience, err)
	}
	return fmt.Sprintf("%d of %d late", late, checks), wrong.err()
}

// watched opens the stream of changes, which a plugin may decline but not break.
func watched(ctx context.Context, o Options) (string, error) {
	p, err := running(ctx, o)
	if err != nil {
		return "", err
	}
	defer p.Close()
	told := 0
	_, err = within(ctx, time.Second, func(ctx context.Context) (int, error) {
		return 0, p.Watch(ctx, "a", func(sdk.Result) { told++ })
	})
	var wrong list
	note := fmt.Sprintf("%d in one second", told)
	switch {
	case errors.Is(err, ErrAsked):
		note = "it has to be asked"
	case err == nil, status.Code(errors.Unwrap(err)) == codes.DeadlineExceeded:
	default:
		wrong.addf("%w", err)
	}
	if told > 100 {
		wrong.addf("%d changes in one second", told)
	}
	if _, err := p.check(ctx, "a", patience); err != nil {
		wrong.addf("a check after the stream ended: %w", err)
	}
	return note, wrong.err()
}

// crashes kills the plugin as it works; the next one must not mind what is left of it.
func crashes(ctx context.Context, o Options) (string, error) {
	var wrong list
	for range 3 {
		p, err := running(ctx, o)
		if err != nil {
			return "", err
		}
		p.Kill()
		if _, err := p.check(ctx, "a", patience); err == nil {
			wrong.addf("the process was killed, and something still answers")
		}
		p.Close()
	}
	p, err := running(ctx, o)
	if err != nil {
		return "", err
	}
	defer p.Close()
	if _, err := p.check(ctx, "a", patience); err != nil {
		wrong.addf("after three crashes: %w", err)
	}
	return "", wrong.err()
}

// gone asks the plugin to end, as the agent does: SIGTERM, and half a second of time.
func gone(ctx context.Context, o Options) (string, error) {
	p, err := running(ctx, o)
	if err != nil {
		return "", err
	}
	defer p.Close()
	_ = syscall.Kill(-p.PID(), syscall.SIGTERM)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for time.Since(began) < patience {
		if syscall.Kill(-p.PID(), 0) != nil {
			return fmt.Sprintf("%v after SIGTERM", time.Since(began).Round(time.Millisecond)), nil
		}
		<-tick.C
	}
	return "", fmt.Errorf("the process or a child of it is still there %v after SIGTERM", patience)
}
