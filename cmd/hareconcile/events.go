package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/event"
)

// runEvents prints what happened on this node since its agent started.
func runEvents(ctx context.Context, e *env, args []string) int {
	fs := e.flags("events")
	config := configFlag(fs)
	asJSON := fs.Bool("json", false, "print JSON, one document a line")
	follow := fs.Bool("f", false, "go on with what happens, until interrupted")
	last := fs.Int("n", 20, "at most so `MANY` of those that happened before, the newest; 0 prints all")
	kinds := fs.String("kind", "", "only these `KINDS`, separated by commas, such as vrrp_transition,alarm")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	only, err := eventKinds(*kinds)
	if err != nil {
		return e.exit(err)
	}
	client, _, err := e.agentOf(*config)
	if err != nil {
		return e.exit(err)
	}
	show := e.showEvent
	if *asJSON {
		show = func(l control.LogEntry) error { return json.NewEncoder(e.stdout).Encode(l) }
	}
	var old []control.LogEntry
	err = client.Log(ctx, false, func(l control.LogEntry) error {
		if wanted(only, l.Kind) {
			old = append(old, l)
		}
		return nil
	})
	if err != nil {
		return e.exit(err)
	}
	seen := uint64(0)
	if len(old) > 0 {
		seen = old[len(old)-1].Seq
	}
	if *last > 0 {
		old = old[max(0, len(old)-*last):]
	}
	for _, l := range old {
		if err := show(l); err != nil {
			return e.exit(err)
		}
	}
	if !*follow {
		return exitOK
	}
	return e.exit(client.Log(ctx, true, func(l control.LogEntry) error {
		if l.Seq <= seen || !wanted(only, l.Kind) {
			return nil
		}
		return show(l)
	}))
}

// eventKinds reads the kinds of -kind.
func eventKinds(s string) ([]event.Kind, error) {
	if s == "" {
		return nil, nil
	}
	var out []event.Kind
	for name := range strings.SplitSeq(s, ",") {
		if !slices.Contains(event.Kinds(), event.Kind(name)) {
			var names []string
			for _, k := range event.Kinds() {
				names = append(names, string(k))
			}
			return nil, fmt.Errorf("there are no events of kind %q.%s", name, hcl.DidYouMean(name, names))
		}
		out = append(out, event.Kind(name))
	}
	return out, nil
}

func wanted(only []event.Kind, k event.Kind) bool { return len(only) == 0 || slices.Contains(only, k) }

// showEvent writes an event as one line.
func (e *env) showEvent(l control.LogEntry) error {
	if l.Missed > 0 {
		if _, err := fmt.Fprintf(e.stdout, "(%d events before this one are no longer known)\n", l.Missed); err != nil {
			return err
		}
	}
	words := []string{l.Time.Format(time.RFC3339), fmt.Sprintf("%-16s", l.Kind)}
	for _, w := range []string{clean(l.Subject), change(l.Event), fmt.Sprintf("%.7s", l.Revision), clean(l.Reason)} {
		if w != "" {
			words = append(words, w)
		}
	}
	_, err := fmt.Fprintln(e.stdout, strings.TrimRight(strings.Join(words, "  "), " "))
	return err
}

// change is what became of what.
func change(e event.Event) string {
	switch {
	case e.From != "" && e.To != "":
		return clean(e.From) + " -> " + clean(e.To)
	case e.To != "":
		return clean(e.To)
	}
	return ""
}
