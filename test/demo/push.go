package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/test/scene"
)

// created finds the kind in each "will be created" of a plan.
var created = regexp.MustCompile(`(?m)^ *# (\w+) .* will be created$`)

// firstPush pushes the example's cluster and shows every node's plan before its agent acts.
func (d *demo) firstPush(ctx context.Context, message string) ([]string, error) {
	names := d.play.nodes
	d.say("The agents are held back meanwhile, so that there is time to read.")
	if err := d.onAll(names, func(n string) error { return d.s.Stop(ctx, n, "agent") }); err != nil {
		return nil, err
	}
	text, err := d.play.text(d.example)
	if err != nil {
		return nil, err
	}
	if d.commit, err = d.push(ctx, text, message); err != nil {
		return nil, err
	}
	plans, err := d.plans(ctx, names)
	if err != nil {
		return nil, err
	}
	for k, n := range names {
		d.headlines(n, plans[k])
	}
	return plans, nil
}

// plans returns what plan says on each node of what is in the operator's clone.
func (d *demo) plans(ctx context.Context, names []string) ([]string, error) {
	plans := make([]string, len(names))
	return plans, d.onAll(names, func(n string) (err error) {
		plans[slices.Index(names, n)], err = d.s.Output(ctx, n, "hareconcile", "plan", "-no-color", d.clone)
		return err
	})
}

// headlines prints what a plan is about.
func (d *demo) headlines(node, plan string) {
	d.say("%s$ hareconcile plan", node)
	for line := range strings.SplitSeq(plan, "\n") {
		if strings.HasPrefix(line, "  # ") || strings.HasPrefix(line, "Plan:") || strings.HasPrefix(line, "No changes.") {
			d.say("%s", line)
		}
	}
}

// planEach pushes the reference cluster and looks at what each node is to create.
func planEach(ctx context.Context, d *demo) error {
	plans, err := d.firstPush(ctx, "Balance the web over two servers")
	if err != nil {
		return err
	}
	for k, n := range nodes {
		want := []string{"address", "sysctl"}
		if slices.Contains(directors, n) {
			want = []string{"ipvs_server", "ipvs_service", "vrrp_instance", "vrrp_tracker"}
		}
		kinds := map[string]bool{}
		for _, m := range created.FindAllStringSubmatch(plans[k], -1) {
			kinds[m[1]] = true
		}
		if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, want) {
			return fmt.Errorf("the plan on %s creates %v, want %v:\n%s", n, got, want, plans[k])
		}
	}
	return nil
}

// converge lets the agents go and waits until every node is what the push says.
func converge(ctx context.Context, d *demo) error {
	if err := d.onAll(nodes, func(n string) error { return d.s.Start(ctx, n, "agent") }); err != nil {
		return err
	}
	took, err := scene.Until(ctx, 60*time.Second, "convergence", func(ctx context.Context) error {
		return errors.Join(d.onAll(nodes, func(n string) error { return d.inForce(ctx, n) }),
			d.holder(ctx, "ka1"),
			d.onAll(directors, func(n string) error {
				return errors.Join(d.weight(ctx, n, rs1, 2), d.weight(ctx, n, rs2, 1))
			}))
	})
	if err != nil {
		return err
	}
	d.say("All four nodes are converged on %.7s after %.1f s; ka1 is MASTER and holds %s.", d.commit, took.Seconds(), vip)
	d.figure("convergence of four nodes, from the agents' start", "%.1f s", took.Seconds())
	if err := d.noChanges(ctx, nodes...); err != nil {
		return err
	}
	d.say("plan says \"No changes.\" on all of them.")
	return d.table(ctx, "ka1")
}

// inForce returns an error unless a node is converged on what was pushed last.
func (d *demo) inForce(ctx context.Context, node string) error {
	st, err := d.s.Agent(ctx, node)
	if err != nil {
		return err
	}
	if st.Phase != control.Converged || st.Revision.Commit != d.commit {
		return fmt.Errorf("%s is %s on %.7s (%s), want it converged on %.7s",
			node, st.Phase, st.Revision.Commit, st.Message, d.commit)
	}
	return nil
}

// oneWeight pushes a change of one weight and checks that nothing else changes.
func oneWeight(ctx context.Context, d *demo) error {
	text, err := d.read()
	if err != nil {
		return err
	}
	if strings.Count(text, "weight = 1 ") != 1 {
		return errors.New("cluster.hcl has no single weight of 1")
	}
	if err := d.write(strings.Replace(text, "weight = 1 ", "weight = 3 ", 1)); err != nil {
		return err
	}
	before, err := d.tables(ctx)
	if err != nil {
		return err
	}
	plans, err := d.plans(ctx, nodes)
	if err != nil {
		return err
	}
	d.say("ka1$ hareconcile plan\n%s", plans[0])
	for k, n := range nodes {
		want := "No changes."
		if slices.Contains(directors, n) {
			want = "Plan: 0 to add, 1 to change, 0 to destroy."
		}
		if !strings.Contains(plans[k], want) {
			return fmt.Errorf("the plan on %s is not %q:\n%s", n, want, plans[k])
		}
	}
	text, err = d.read()
	if err != nil {
		return err
	}
	if d.commit, err = d.push(ctx, text, "Give rs2 more weight"); err != nil {
		return err
	}
	took, err := scene.Until(ctx, 60*time.Second, "the new weight", func(ctx context.Context) error {
		return d.onAll(directors, func(n string) error {
			return errors.Join(d.weight(ctx, n, rs2, 3), d.inForce(ctx, n))
		})
	})
	if err != nil {
		return err
	}
	after, err := d.tables(ctx)
	if err != nil {
		return err
	}
	for n, t := range before {
		t[service][rs2] = 3
		if fmt.Sprint(t) != fmt.Sprint(after[n]) {
			return fmt.Errorf("the table of %s is %v, want only the weight to differ: %v", n, after[n], t)
		}
	}
	d.say("Both directors have it after %.1f s, and nothing else differs.", took.Seconds())
	d.figure("second push, until both tables show the weight", "%.1f s", took.Seconds())
	return d.table(ctx, "ka1")
}

func (d *demo) tables(ctx context.Context) (map[string]scene.Table, error) {
	out := map[string]scene.Table{}
	for _, n := range directors {
		t, err := d.s.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		if _, ok := t.Weight(service, rs2); !ok {
			return nil, fmt.Errorf("the table of %s has no %s: %v", n, rs2, t)
		}
		out[n] = t
	}
	return out, nil
}

// badPush pushes a mistake under load.
func badPush(ctx context.Context, d *demo) error {
	text, err := d.read()
	if err != nil {
		return err
	}
	bad := strings.Replace(text, "scheduler = ", "schedular = ", 1)
	line := 1 + strings.Count(bad[:max(0, strings.Index(bad, "schedular"))], "\n")
	before, err := d.tables(ctx)
	if err != nil {
		return err
	}
	load := d.load(ctx, "-rate", "20")
	commit, err := d.push(ctx, bad, "Misspell an attribute")
	if err != nil {
		return err
	}
	var place string
	took, err := scene.Until(ctx, 60*time.Second, "the refusal", func(ctx context.Context) error {
		return d.onAll(nodes, func(n string) error {
			st, err := d.s.Agent(ctx, n)
			if err != nil {
				return err
			}
			got, ok := refusalAt(st, commit)
			if !ok {
				return fmt.Errorf("%s has not refused %.7s: %+v", n, commit, st.Refused)
			}
			if n == nodes[0] {
				place = got
			}
			return d.inForce(ctx, n)
		})
	})
	if err != nil {
		return err
	}
	d.say("All four nodes refused it after %.1f s and stay on %.7s:\n%s", took.Seconds(), d.commit, place)
	if want := fmt.Sprintf("cluster.hcl:%d,3", line); !strings.HasPrefix(place, want) {
		return fmt.Errorf("the refusal says %q, want it to begin with %s", place, want)
	}
	after, err := d.tables(ctx)
	if err != nil {
		return err
	}
	if fmt.Sprint(before) != fmt.Sprint(after) {
		return fmt.Errorf("the tables are %v, want them as they were: %v", after, before)
	}
	r, err := load.Stop()
	if err != nil {
		return err
	}
	if r.Failed > 0 || r.OK == 0 {
		return fmt.Errorf("%d of %d requests failed: %v", r.Failed, r.Requests, r.Failures)
	}
	d.say("Meanwhile %d requests were made and %d failed.", r.Requests, r.Failed)
	return nil
}

// refusalAt returns "file:line,column: what" of the first mistake in a refused commit.
func refusalAt(st control.Status, commit string) (string, bool) {
	if st.Refused == nil || st.Refused.Commit != commit || len(st.Refused.Diagnostics) == 0 {
		return "", false
	}
	g := st.Refused.Diagnostics[0]
	return fmt.Sprintf("%s:%d,%d: %s; %s", g.File, g.Start.Line, g.Start.Column, g.Summary, g.Detail), true
}
