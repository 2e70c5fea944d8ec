package lab

import (
	"os/exec"
	"testing"
)

func TestQuoteIsWhatAShellReads(t *testing.T) {
	for word, want := range map[string]string{
		"examples/lvs-dr": "examples/lvs-dr", "my cluster": "'my cluster'", "": "''", "it's $HOME": `'it'\''s $HOME'`,
	} {
		got := Quote(word)
		if got != want {
			t.Errorf("Quote(%q) = %s, want %s", word, got, want)
		}
		if out, err := exec.Command("sh", "-c", "printf %s "+got).Output(); err != nil || string(out) != word {
			t.Errorf("sh reads %s as %q (%v), want %q", got, out, err, word)
		}
	}
}
