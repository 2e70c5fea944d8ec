package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/test/bench/rawipvs"
)

// removalRounds is how often each program's victim is closed.
const removalRounds = 5

// How long a server that is gone stays in the table.
const (
	fromClosing = "from its end, ms"
	fromAsking  = "from the check that failed, ms"
)

// removals closes the victim and looks at the table: first all rounds of one program, then
// of the other.
func (c *contest) removals(ctx context.Context, b *bench, loads []load) error {
	t := newTable(fmt.Sprintf("a server's listener is closed, until the table lacks the server, %d rounds: median (least to most)", removalRounds))
	t.goals = map[string]float64{fromAsking: 1}
	watch, err := newServant(ctx, c.field.checkers, "lacks")
	if err != nil {
		return err
	}
	defer watch.close()
	for _, l := range loads {
		for which := range programs {
			if err := c.removal(ctx, t, b.dir, l, which, watch); err != nil {
				return fmt.Errorf("%s, %d servers, %s: %w", l.kind, l.servers, programs[which], err)
			}
			progress("%s checks of %d servers: removals by %s", l.kind, l.servers, programs[which])
		}
	}
	t.print(b.out)
	return nil
}

func (c *contest) removal(ctx context.Context, t *table, dir string, l load, which int, watch *servant) (err error) {
	d, err := c.start(ctx, dir, l, which)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.end()) }()
	for n := range removalRounds {
		var closed, gone, back time.Time
		var before, after arrivals
		if err := watch.ask("there", &back); err != nil {
			return err
		}
		// Each program meets the end of the server at different moments of its second.
		if err := sleep(ctx, checkInterval+time.Duration(n)*checkInterval/removalRounds); err != nil {
			return err
		}
		for _, step := range []struct {
			who  *servant
			what string
			into any
		}{
			{c.field.arrivals, "", &before}, {c.field.farm, "close", &closed}, {watch, "gone", &gone},
			{c.field.arrivals, "", &after}, {c.field.farm, "open", &back},
		} {
			if err := step.who.ask(step.what, step.into); err != nil {
				return err
			}
		}
		event := fmt.Sprintf("%s, %d servers", l.kind, l.servers)
		t.add(event, fromClosing, programs[which], milliseconds(gone.Sub(closed)))
		i := slices.IndexFunc(after.Victim, closed.Before)
		if i < 0 {
			return errors.New("the server was removed without having been asked")
		}
		t.add(event, fromAsking, programs[which], milliseconds(gone.Sub(after.Victim[i])))
	}
	return nil
}

// lacksLimit is how long the table may keep the victim, or lack it.
const lacksLimit = time.Minute

// runLacks is the process that waits until the table has the victim, or lacks it.
func runLacks([]string) error {
	table, err := rawipvs.Dial()
	if err != nil {
		return err
	}
	return serve(func(line string) (any, error) {
		for end := time.Now().Add(lacksLimit); ; {
			// Without its service the victim is not there, either.
			have, _ := table.Servers(checkedVIP)
			there := slices.ContainsFunc(have, func(s rawipvs.Server) bool { return s.Address == victim })
			now := time.Now()
			if there == (line == "there") {
				return now, nil
			}
			if now.After(end) {
				return nil, fmt.Errorf("%v is not %q after %v", victim, line, lacksLimit)
			}
			if err := sleep(context.Background(), 2*time.Millisecond); err != nil {
				return nil, err
			}
		}
	})
}
