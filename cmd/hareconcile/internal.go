package main

import (
	"context"
	"fmt"

	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/jail"
	"github.com/hareconcile/hareconcile/internal/spawn"
)

// runInternal is what hareconcile starts itself as: the short-lived children that look at
// foreign input, what a plugin is before it is itself, and the parts of a lab.
func runInternal(ctx context.Context, e *env, args []string) int {
	if code, ok := labStage(ctx, args); ok {
		return code
	}
	if len(args) > 0 && args[0] == spawn.ExecStage {
		return spawn.Exec(args[1:])
	}
	if len(args) != 1 {
		return e.exit(fmt.Errorf("internal is for hareconcile's own use"))
	}
	return jail.Main(args[0], compile.Stages())
}
