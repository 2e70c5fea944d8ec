package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func runDrain(ctx context.Context, e *env, args []string) int {
	fs := e.flags("drain")
	config := configFlag(fs)
	list := fs.Bool("list", false, "print what is drained on this node")
	asJSON := fs.Bool("json", false, "print JSON")
	wait := fs.Bool("wait", false, "wait until the server is drained")
	force := fs.Bool("force", false, "drain even the last server in service of its pool, or one that a quorum needs")
	deadline := fs.Duration("deadline", 0, "how `LONG` connections may go on; the pool's drain, or else 5m, unless it is given")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	given := false
	fs.Visit(func(f *flag.Flag) { given = given || f.Name == "deadline" })
	switch {
	case *list && fs.NArg() > 0:
		return e.exit(errors.New("-list takes no server"))
	case !*list && fs.NArg() == 0:
		return e.exit(errors.New("name the server, as POOL/SERVER; -list prints what is drained"))
	case given && *deadline <= 0:
		return e.exit(fmt.Errorf("a deadline of %v is none: give a time, such as 5m", *deadline))
	}
	d, err := e.newDrainer(*config, *asJSON)
	if err != nil {
		return e.exit(err)
	}
	if *list {
		return e.exit(d.list(ctx))
	}
	r := control.DrainRequest{Server: reconcile.ServerRef(fs.Arg(0)), Deadline: resource.Duration(*deadline), Force: *force}
	return e.exit(d.drain(ctx, r, *wait))
}

func runUndrain(ctx context.Context, e *env, args []string) int {
	fs := e.flags("undrain")
	config := configFlag(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	if fs.NArg() == 0 {
		return e.exit(errors.New("name the server, as POOL/SERVER; drain -list prints what is drained"))
	}
	d, err := e.newDrainer(*config, *asJSON)
	if err != nil {
		return e.exit(err)
	}
	ds, err := d.client.Drain(ctx, control.DrainRequest{Server: reconcile.ServerRef(fs.Arg(0)), Cancel: true})
	if err == nil && d.json {
		err = d.print(ds)
	} else if err == nil {
		_, err = fmt.Fprintf(e.stdout, "%s takes connections on %s again, as far as its checks let it.\n", clean(fs.Arg(0)), clean(d.node))
	}
	return e.exit(err)
}

// A drainer asks the agent of this node for drains.
type drainer struct {
	e      *env
	client *control.Client
	node   string
	json   bool
}

func (e *env) newDrainer(config string, asJSON bool) (*drainer, error) {
	h, err := openHost(e, config)
	if err != nil {
		return nil, err
	}
	client, err := h.agent()
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, fmt.Errorf("draining needs the agent, and none runs: nobody listens on %s; "+
			"without one, write draining = true to the server in the cluster file and apply that", h.cfg.Socket)
	}
	return &drainer{e, client, h.cfg.NodeName, asJSON}, nil
}

// drains is what drain -json prints.
type drains struct {
	FormatVersion string          `json:"format_version"`
	Node          string          `json:"node"`
	Drains        []control.Drain `json:"drains"`
}

func (d *drainer) print(ds []control.Drain) error {
	return writeJSON(d.e.stdout, drains{planfile.FormatVersion, d.node, append([]control.Drain{}, ds...)})
}

func (d *drainer) list(ctx context.Context) error {
	ds, err := d.client.Drains(ctx)
	switch {
	case err != nil:
		return err
	case d.json:
		return d.print(ds)
	case len(ds) == 0:
		_, err := fmt.Fprintf(d.e.stdout, "Nothing is drained on %s.\n", clean(d.node))
		return err
	}
	return writeDrains(d.e.stdout, ds, time.Now())
}

func writeDrains(w io.Writer, ds []control.Drain, now time.Time) error {
	t := newTable(w)
	t.row("SERVER", "SINCE", "STATE")
	for _, d := range ds {
		t.row(d.Server, age(now, d.Since), drainState(d, now))
	}
	return t.Flush()
}

// drainState says how far a drain is.
func drainState(d control.Drain, now time.Time) string {
	text := string(d.State)
	switch {
	case d.State == control.Draining:
		text += fmt.Sprintf(" with %s until %s (%v)", count(d.Connections, "connection"), d.Until.Format(time.TimeOnly),
			max(0, d.Until.Sub(now)).Round(time.Second))
	case d.State == control.Drained && d.Connections > 0:
		text += fmt.Sprintf("; its time was over with %s left", count(d.Connections, "connection"))
	}
	if d.File {
		text += ", as the cluster file says"
	}
	if d.Removed {
		text += "; the cluster file has it no more"
	}
	return text
}

// count returns "1 thing" or "2,000 things".
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return thousands(n) + " " + thing
}

// drain takes a server out and, if asked to, waits until it is.
func (d *drainer) drain(ctx context.Context, r control.DrainRequest, wait bool) error {
	under := false // way already, or over: whoever forgot -wait may still wait
	if wait && r.Deadline == 0 {
		ds, err := d.client.Drains(ctx)
		if err != nil {
			return err
		}
		state := find(ds, r.Server).State
		under = state == control.Draining || state == control.Drained
	}
	if !under {
		ds, err := d.client.Drain(ctx, r)
		switch {
		case err != nil:
			return err
		case !wait && d.json:
			return d.print(ds)
		case !wait:
			fmt.Fprintf(d.e.stdout, "%s on %s: %s.\nOther directors still send it connections: drain it there too, or write draining = true in the cluster file.\n",
				clean(string(r.Server)), clean(d.node), drainState(find(ds, r.Server), time.Now()))
			return nil
		}
	}
	return d.follow(ctx, r.Server)
}

func find(ds []control.Drain, ref reconcile.ServerRef) control.Drain {
	i := slices.IndexFunc(ds, func(d control.Drain) bool { return d.Server == ref })
	if i < 0 {
		return control.Drain{Server: ref}
	}
	return ds[i]
}

// follow waits until ref is drained, and shows on a terminal how many connections are left.
func (d *drainer) follow(ctx context.Context, ref reconcile.ServerRef) error {
	line := liveLine{w: d.e.stderr}
	defer line.clear()
	var last control.Drain
	err := watchTicking(ctx, d.client.WatchDrains, func(ds []control.Drain) error {
		last = find(ds, ref)
		if last.State != control.Draining {
			return errDone
		}
		if d.e.live {
			line.set(fmt.Sprintf("%s: %s", clean(string(ref)), drainState(last, time.Now())))
		}
		return nil
	})
	line.clear()
	switch {
	case last.State == control.Drained && d.json:
		return d.print([]control.Drain{last})
	case last.State == control.Drained:
		_, err := fmt.Fprintf(d.e.stdout, "%s on %s: %s.\n", clean(string(ref)), clean(d.node), drainState(last, time.Now()))
		return err
	case errors.Is(err, errDone):
		return fmt.Errorf("%s was taken back while it was draining", ref)
	case err != nil:
		return err
	}
	return fmt.Errorf("interrupted: nobody waits any more, and %s goes on draining", ref)
}
