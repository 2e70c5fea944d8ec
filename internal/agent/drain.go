package agent

import (
	"context"

	"github.com/hareconcile/hareconcile/internal/control"
)

// Drain takes a server out of its pool on this node, or back.
func (a *Agent) Drain(context.Context, control.DrainRequest) (control.DrainResult, error) {
	return control.DrainResult{}, errNotReady
}
