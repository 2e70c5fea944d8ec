package main

import (
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
		stdin          string
	}{
		{"the version", []string{"-version"}, 0, "hareconcile-vrrpd 0", "", ""},
		{"two dashes", []string{"--version"}, 0, "hareconcile-vrrpd 0", "", ""},
		{"a predecessor of another kind", []string{"-try"}, 1, "", "unknown version 9", `{"version":9}`},
		{"a predecessor of another boot", []string{"-try"}, 1, "", "not from this boot", `{"version":1,"state":{"version":1}}`},
		{"help", []string{"-h"}, 0, "", "-socket path", ""},
		{"an unknown flag", []string{"-x"}, 2, "", "not defined: -x", ""},
		{"an argument", []string{"run"}, 2, "", `unexpected argument "run"`, ""},
		{"an unknown log format", []string{"-log", "xml"}, 2, "", `-log is text or json, not "xml"`, ""},
		{"a lock that is a folder's child of a file", []string{"-lock", "/proc/version/lock"}, 1, "", "hareconcile-vrrpd: make run directory", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := run(tt.args, strings.NewReader(tt.stdin), &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("run(%q) = %d, output %q, errors %q", tt.args, code, &stdout, &stderr)
			}
		})
	}
}
