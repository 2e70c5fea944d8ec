package sdk_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

const docs = "../../docs/plugins.md"

// block returns the first fenced block of a language that contains part.
func block(t *testing.T, language, part string) string {
	t.Helper()
	b, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range strings.Split(string(b), "```"+language+"\n")[1:] {
		text, _, _ := strings.Cut(after, "```\n")
		if strings.Contains(text, part) {
			return text
		}
	}
	t.Fatalf("%s has no %s block with %q", docs, language, part)
	return ""
}

func TestExampleOfTheDocs(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(block(t, "go", "package main")), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "hareconcile-plugin-heartbeat")
	if out, err := exec.Command("go", "build", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	sdktest.Verify(t, binary, `{"path": "`+filepath.Join(dir, "beat")+`"}`)
	command := exec.Command("go", "build", "-o", dir, "../../cmd/hareconcile")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build hareconcile: %v\n%s", err, out)
	}
	// Without an agent.hcl the commands run plugins as an ordinary user, who has to get there.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Run("its commands print what the docs say", func(t *testing.T) {
		transcript(t, dir, block(t, "console", "$ touch"), func(s string) string { return s })
	})
	t.Run("plugin verify prints what the docs say", func(t *testing.T) {
		figures := regexp.MustCompile(`[0-9.]+(ms|s)?`)
		transcript(t, dir, block(t, "console", "$ hareconcile plugin verify"), func(s string) string {
			return figures.ReplaceAllString(strings.ReplaceAll(s, dir+"/", ""), "N")
		})
	})
}

// transcript runs the commands of a block and compares what they print, after alike made
// equal what differs from run to run.
func transcript(t *testing.T, dir, want string, alike func(string) string) {
	t.Helper()
	var got strings.Builder
	for line := range strings.Lines(want) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		got.WriteString(line)
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("%s: %v", command, err)
		}
		got.Write(out)
	}
	if diff := cmp.Diff(alike(want), alike(got.String())); diff != "" {
		t.Errorf("commands and output (-docs +real):\n%s", diff)
	}
}
