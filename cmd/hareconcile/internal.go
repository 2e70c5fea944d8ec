package main

import (
	"context"
	"fmt"

	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/jail"
)

// runInternal is what hareconcile starts itself as: the short-lived children that look at
// foreign input, and the parts of a lab. What a plugin is before it is itself never gets
// here (package become).
func runInternal(ctx context.Context, e *env, args []string) int {
	if code, ok := labStage(ctx, args); ok {
		return code
	}
	if len(args) != 1 {
		return e.exit(fmt.Errorf("internal is for hareconcile's own use"))
	}
	return jail.Main(args[0], compile.Stages())
}
