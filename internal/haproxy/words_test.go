package haproxy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
)

// TestWordsAgreeWithHAProxy has haproxy say what it reads: it shows names that it refuses,
// and they all end in a sign that no name may have.
func TestWordsAgreeWithHAProxy(t *testing.T) {
	program := haproxytest.Program(t)
	name := filepath.Join(t.TempDir(), "haproxy.cfg")
	for _, raw := range []string{
		`'it'\''s'`, `a\'b`, `a\eb`, `"a\'b"`, `'a\b'`, `"a\$b"`, `a\$b`, `a\x41b`, `a\x7eb`, `"a\ b"`, `a\ b`, `a\#b`, `"a\#b"`, `a\\b`, `"a\\b"`,
		`a\"b`, `"a\"b"`, `"a\eb"`, `a"b c"d`, `a$b`, `a'#'b`, `''a""`, `\\x41`,
	} {
		if err := os.WriteFile(name, []byte("backend "+raw+"! # a comment\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "-c", "-f", name).CombinedOutput()
		if err == nil {
			t.Fatalf("haproxy takes the name %s!", raw)
		}
		words, ok := Words("backend " + raw + "! # a comment")
		if !ok || len(words) != 2 {
			t.Errorf("Words of %s! are %+v", raw, words)
			continue
		}
		if want := "'backend' name '" + words[1].Text + "'"; !strings.Contains(string(out), want) {
			t.Errorf("of %s! Words reads %q, and haproxy says:\n%s", raw, words[1].Text, out)
		}
	}
}
