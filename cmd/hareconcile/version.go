package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/hareconcile/hareconcile/internal/build"
)

// A versionInfo is what version -json prints.
type versionInfo struct {
	FormatVersion string `json:"format_version"`
	Version       string `json:"hareconcile_version"`
	Go            string `json:"go_version"`
	Platform      string `json:"platform"`
}

func runVersion(_ context.Context, e *env, args []string) int {
	fs := e.flags("version")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	v := versionInfo{"1.0", build.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if *asJSON {
		return e.exit(writeJSON(e.stdout, v))
	}
	_, err := fmt.Fprintf(e.stdout, "hareconcile %s (%s, %s)\n", v.Version, v.Go, v.Platform)
	return e.exit(err)
}
