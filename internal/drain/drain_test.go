package drain_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/drain"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestOrdersOutliveTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drains.json")
	if got, err := drain.NewStore(path).Load(); got != nil || err != nil {
		t.Fatalf("Load() of nothing = %v, %v", got, err)
	}
	want := []drain.Order{{Server: "web/rs1", Since: time.Unix(1000, 0).UTC(), Grace: resource.Duration(time.Minute)}}
	if err := drain.NewStore(path).Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := drain.NewStore(path).Load()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Load() (-want +got):\n%s", d)
	}
}

func TestDamageIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drains.json")
	for _, text := range []string{"", "{", `{"format_version":"2","drains":[]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := drain.NewStore(path).Load(); err == nil {
			t.Errorf("Load() of %q = %v, want an error", text, got)
		}
	}
}
