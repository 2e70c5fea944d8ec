package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/hareconcile/hareconcile/internal/control"
)

// writeStatus writes s as aligned tables. Text from elsewhere is cleaned, so that a commit
// cannot steer the terminal that shows it.
func writeStatus(w io.Writer, s control.Status, now time.Time, color bool) error {
	var b bytes.Buffer
	writeAlarms(&b, s, color)
	writeHead(&b, s, now)
	writeInstances(&b, s, now)
	writeServices(&b, s, now)
	if len(s.Drains) > 0 {
		fmt.Fprintln(&b, "\nDrained on this node:")
		_ = writeDrains(&b, s.Drains, now) // a buffer takes everything
	}
	writeTrackers(&b, s)
	writeTrouble(&b, s)
	_, err := w.Write(b.Bytes())
	return err
}

const (
	red   = "\x1b[1;31m"
	plain = "\x1b[0m"
)

// writeAlarms writes first what needs a person now.
func writeAlarms(w io.Writer, s control.Status, color bool) {
	for _, a := range s.Alarms {
		text := fmt.Sprintf("ALARM %s: %s", clean(a.Subject), clean(a.Message))
		if color {
			text = red + text + plain
		}
		fmt.Fprintln(w, text)
	}
	if len(s.Alarms) > 0 {
		fmt.Fprintln(w)
	}
}

// A table aligns its cells; its first row is the heading.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (t table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, clean(cmp.Or(fmt.Sprint(c), "-")))
	}
	fmt.Fprintln(t)
}

// complaints is how long status tells of a check that could not be made.
const complaints = 10 * time.Minute

func writeHead(w io.Writer, s control.Status, now time.Time) {
	t := newTable(w)
	defer t.Flush()
	node := s.Node
	if s.Cluster != "" {
		node += " in cluster " + s.Cluster
	}
	t.row("Node", node)
	phase := string(s.Phase)
	if s.Phase == control.Converged && !s.ConvergedAt.IsZero() {
		phase += ", applied " + age(now, s.ConvergedAt)
	}
	if s.Progress != nil {
		phase += ", " + progress(*s.Progress)
	}
	t.row("Phase", phase)
	if s.Message != "" {
		for _, line := range shortened(strings.Split(s.Message, "\n"), 10) {
			t.row(" ", line)
		}
	}
	t.row("Revision", describe(s.Revision))
	writeRollout(t, s, now)
	if s.Source.URL != "" {
		source := s.Source.URL
		switch {
		case !s.Source.LastSuccess.IsZero():
			source += ", answered " + age(now, s.Source.LastSuccess)
		case s.Phase != control.Stopped:
			source += ", has not answered yet"
		}
		t.row("Source", source)
		if s.Source.Error != "" {
			t.row(" ", "cannot be read: "+s.Source.Error)
		}
	}
	writeDoors(t, s, now)
	if s.StoreError != "" {
		t.row("Store", "the last good revision is not on disk: "+s.StoreError)
	}
	t.row("vrrpd", s.VRRPD)
	if s.Phase == control.Stopped {
		return
	}
	if c := s.Checks; c != nil {
		t.row("Checks", fmt.Sprintf("%s, %s made, %d in flight, at most %v late (p99)",
			count(c.Targets, "target"), thousands(int(c.Made)), c.InFlight, c.LatenessP99.Round(100*time.Microsecond)))
		if c.Unmeasured > 0 && now.Sub(c.ComplainedAt) < complaints {
			t.row(" ", fmt.Sprintf("%s could not measure, the last one %s: %s: %s", thousands(int(c.Unmeasured)), age(now, c.ComplainedAt), c.Complainer, c.Complaint))
		}
	}
	writeDrift(t, s.Drift, now)
}

func writeInstances(w io.Writer, s control.Status, now time.Time) {
	if len(s.Instances) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable(w)
	defer t.Flush()
	t.row("VRRP INSTANCE", "STATE", "SINCE", "PRIORITY", "MASTER", "HELD", "TRANSITIONS", "REASON")
	for _, i := range s.Instances {
		master := ""
		switch {
		case i.State == "MASTER":
			master = "this node"
		case i.Master.IsValid():
			master = i.Master.String()
		}
		t.row(i.Name, i.State, age(now, i.Since), i.Priority, master, held(i.Held), i.Transitions, i.Reason+holdOf(i, now))
	}
}

// holdOf tells how long an instance still leaves another master alone.
func holdOf(i control.Instance, now time.Time) string {
	if rest := i.HoldUntil.Sub(now).Round(time.Second); rest > 0 {
		return fmt.Sprintf("; held back for %v", rest)
	}
	return ""
}

// held lists addresses while they are few.
func held(list []string) string {
	const few = 3
	if len(list) > few {
		return fmt.Sprintf("%s and %d more", list[0], len(list)-1)
	}
	return strings.Join(list, " ")
}

func writeTrackers(w io.Writer, s control.Status) {
	if len(s.Trackers) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable(w)
	defer t.Flush()
	t.row("TRACKER", "VERDICT", "MESSAGE")
	for _, tr := range s.Trackers {
		verdict, message := cmp.Or(string(tr.Verdict), "unknown"), tr.Message
		if r := tr.Report; r != nil && r.Status != "pass" {
			if r.Status != verdict {
				verdict += " (" + strings.ToUpper(r.Status) + ")"
			}
			message = strings.TrimPrefix(r.Code+": "+cmp.Or(r.Detail, message), ": ")
		}
		if r := tr.Report; r != nil && r.Note != "" {
			message += "; " + r.Note
		}
		t.row(tr.Name, verdict, message)
	}
}

// writeTrouble writes what a person should look at.
func writeTrouble(w io.Writer, s control.Status) {
	title := "\nAlerts:\n"
	for _, i := range s.Instances {
		for _, text := range i.Alerts {
			fmt.Fprintf(w, "%s  vrrp_instance.%s: %s\n", title, clean(i.Name), clean(text))
			title = ""
		}
	}
	writeConflicts(w, "\nConflicts:\n", s.Conflicts, false)
	writeConflicts(w, "\nSet by hand:\n", s.Conflicts, true)
	if len(s.Findings) > 0 {
		fmt.Fprintln(w, "\nPolicies:")
	}
	var findings []string
	for _, f := range s.Findings {
		text := fmt.Sprintf("%s (%s, %s:%d): ", clean(f.Policy), clean(f.Level), clean(f.File), f.Line)
		if f.Subject != "" {
			text += clean(f.Subject) + ": "
		}
		findings = append(findings, text+clean(f.Message))
	}
	for _, line := range shortened(findings, manyRows) {
		fmt.Fprintf(w, "  %s\n", line)
	}
	if r := s.Refused; r != nil {
		reasons := shortened(strings.Split(r.Reason, "\n"), 10)
		fmt.Fprintf(w, "\nRefused: %.7s %q at %s: %s\n", r.Commit, r.Subject, clean(r.Stage), clean(reasons[0]))
		for _, reason := range reasons[1:] {
			fmt.Fprintf(w, "  %s\n", clean(reason))
		}
		if len(r.Diagnostics) > 0 {
			fmt.Fprintln(w)
		}
		var b bytes.Buffer
		_ = r.Diagnostics.WriteText(&b, false) // a buffer takes everything
		for line := range strings.Lines(b.String()) {
			fmt.Fprintf(w, "  %s\n", clean(strings.TrimSuffix(line, "\n")))
		}
	}
}

// writeConflicts writes those that people set, or the others.
func writeConflicts(w io.Writer, title string, all []control.Conflict, byHand bool) {
	var lines []string
	for _, c := range all {
		if c.ByHand == byHand {
			lines = append(lines, clean(c.Resource)+": "+clean(c.Detail))
		}
	}
	for _, line := range shortened(lines, manyRows) {
		fmt.Fprintf(w, "%s  %s\n", title, line)
		title = ""
	}
}

// age says how long ago t was, as roughly as people want to know.
func age(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := max(0, now.Sub(t))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs ago", d.Seconds())
	case d < 48*time.Hour:
		return d.Round(time.Second).String() + " ago"
	}
	return fmt.Sprintf("%dd ago", int(d.Hours())/24)
}

// clean takes out of s what could steer a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
