package reconcile

import (
	"fmt"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A Conflict is an object that we want, that exists otherwise, and that is not ours, or that a
// person set otherwise and may. It is never changed.
type Conflict struct {
	ID         resource.ID
	Live, Want any
	Origin     spec.Origin
}

// ByHand reports whether c is about something of ours that a person set otherwise and may. It is
// told of and left, and in nobody's way.
func (c Conflict) ByHand() bool { return c.ID.Kind == resource.KindHAProxyServer }

// Detail says what is the matter, and of what was set by hand how to undo it and how to keep it.
func (c Conflict) Detail() string {
	live, ok := c.Live.(resource.HAProxyServer)
	want, ok2 := c.Want.(resource.HAProxyServer)
	if !ok || !ok2 {
		return "exists and was not made by hareconcile"
	}
	var is, keep, undo []string
	name := "set server " + want.Backend + "/" + want.Name
	if live.Admin != want.Admin {
		is = append(is, fmt.Sprintf("%s and not %s", live.Admin, want.Admin))
		keep = append(keep, fmt.Sprintf("admin = %q", live.Admin))
		undo = append(undo, name+" state "+want.Admin)
	}
	if live.Weight != want.Weight {
		is = append(is, fmt.Sprintf("of weight %d and not %d", live.Weight, want.Weight))
		keep = append(keep, fmt.Sprintf("weight = %d", live.Weight))
		undo = append(undo, fmt.Sprintf("%s weight %d", name, want.Weight))
	}
	if is == nil { // other values change with the next pass
		return "is not as wanted in the running haproxy"
	}
	return fmt.Sprintf("is %s: somebody set that on haproxy's socket, and it stays (ignore_runtime). To undo it: echo '%s' | socat - %s. To keep it: write %s in the cluster file",
		strings.Join(is, ", "), strings.Join(undo, "; "), want.Socket, strings.Join(keep, " and "))
}
