package haproxy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	parse "github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/reconcile/kind/haproxy"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
)

// TestLoaded finds all files of a haproxy before ours is one of them and after, and a port that
// the user's file has as well as ours.
func TestLoaded(t *testing.T) {
	h := prepared(t)
	for name, text := range map[string]string{
		"conf/60-last.cfg": "defaults\n", "conf/10-first.cfg": "# one\n", "conf/note.txt": "no\n", "conf/.hidden.cfg": "no\n",
	} {
		h.write(name, text)
	}
	if l, err := haproxy.Loaded(t.Context(), h.managed, ""); err == nil {
		t.Errorf("Loaded of a haproxy that does not run = %+v", l)
	}
	h.start("-f", "conf")
	c := h.plain()
	c.lines = []string{fmt.Sprintf("bind 127.0.0.1:%d", h.user)}
	look := func() parse.Loaded {
		t.Helper()
		l, err := haproxy.Loaded(t.Context(), h.managed, h.file(c).Text)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, f := range l.Files {
			paths = append(paths, f.Path)
		}
		want := []string{h.path("user.cfg"), h.path("conf/10-first.cfg"), h.managed.Path, h.path("conf/60-last.cfg")}
		if diff := cmp.Diff(want, paths); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if !l.Environment["PATH"] || l.Files[0].Text != h.read(h.path("user.cfg")) || l.Files[2].Text != h.file(c).Text {
			t.Errorf("Loaded = %+v", l)
		}
		return l
	}
	look()
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	found := parse.Lint(look())
	shared := 0
	for _, f := range found {
		if f.Path == h.managed.Path && strings.Contains(f.Detail, "frontend user") {
			shared++
		}
	}
	if shared != 1 {
		t.Errorf("findings %+v, want the port that the user's frontend has", found)
	}
}
