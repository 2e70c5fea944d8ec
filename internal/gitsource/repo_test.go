package gitsource

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
)

// source returns what fetches r over file:// into a folder of the test's.
func source(t *testing.T, r gittest.Repo) Config {
	return Config{Dir: filepath.Join(t.TempDir(), "copy.git"), URL: "file://" + r.Dir, Branch: "main", Timeout: 20 * time.Second}
}

func fetch(t *testing.T, c Config) string {
	t.Helper()
	tip, err := Fetch(t.Context(), c, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

func fetchError(t *testing.T, c Config, want string) {
	t.Helper()
	tip, err := Fetch(t.Context(), c, func(string) {})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Fetch = %q, %v, want an error that says %q", tip, err, want)
	}
}
