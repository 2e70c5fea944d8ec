package planfile

import (
	"fmt"
	"strings"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// assumed returns the class that a change has by itself. The host knows better.
func assumed(c reconcile.Change) reconcile.Class {
	switch c.ID.Kind {
	case resource.KindHAProxyFile:
		before, _ := c.Before.(resource.HAProxyFile)
		after, _ := c.After.(resource.HAProxyFile)
		if before.Structure == after.Structure {
			return reconcile.ClassFileOnly
		}
		return reconcile.ClassReload
	case resource.KindHAProxyServer, resource.KindHAProxyMap, resource.KindHAProxyCertificate:
		if c.Action == reconcile.Update {
			return reconcile.ClassRuntime
		}
	}
	return ""
}

// Classify takes what the host's handlers say of the classes of f's changes, and which of them
// could not work.
func (f *File) Classify(classes map[resource.ID]reconcile.Class, problems []reconcile.Problem) {
	blocked := map[resource.ID]bool{}
	for _, p := range problems {
		blocked[p.Change.ID] = true
	}
	for i := range f.Changes {
		c := &f.Changes[i]
		id := resource.ID{Kind: c.Kind, Name: c.Name}
		if class, ok := classes[id]; ok {
			c.Class = class
		}
		if blocked[id] && c.Class != "" && c.Class != reconcile.ClassHandEdited {
			c.Class = reconcile.ClassBlocked
		}
	}
}

// classPhrases say of each class what it means.
var classPhrases = map[reconcile.Class]string{
	reconcile.ClassRuntime:    "by commands to the running haproxy",
	reconcile.ClassReload:     "with one reload of haproxy",
	reconcile.ClassFileOnly:   "without a reload",
	reconcile.ClassDrift:      "since somebody changed it in the running haproxy",
	reconcile.ClassHandEdited: "over what somebody changed in the file by hand",
	reconcile.ClassBlocked:    "if it worked, which the errors below say it would not",
	reconcile.ClassRestart:    "and somebody has to restart haproxy, since no reload brings it",
}

// classPhrase says how a change comes about.
func classPhrase(c Change) string {
	phrase, ok := classPhrases[c.Class]
	if !ok {
		return ""
	}
	return fmt.Sprintf(", %s (%s)", phrase, c.Class)
}

// classOrder is from what takes least to what takes most.
var classOrder = []reconcile.Class{
	reconcile.ClassFileOnly, reconcile.ClassRuntime, reconcile.ClassDrift, reconcile.ClassReload, reconcile.ClassRestart,
	reconcile.ClassHandEdited, reconcile.ClassBlocked,
}

// classes counts the changes of each class, and what was set by hand with the drift.
func (p *printer) classes(f File) {
	n := map[reconcile.Class]int{}
	for _, c := range f.Changes {
		n[c.Class]++
	}
	left := len(f.Conflicts) - len(f.InTheWay())
	n[reconcile.ClassDrift] += left
	var words []string
	for _, class := range classOrder {
		if n[class] > 0 {
			words = append(words, fmt.Sprintf("%d %s", n[class], class))
		}
	}
	if len(words) == 0 {
		return
	}
	if left > 0 {
		words[len(words)-1] += fmt.Sprintf("; %d set by hand stays", left)
	}
	p.printf("Of haproxy: %s.\n", strings.Join(words, ", "))
}
