package sdk_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

// A herald tells what is put into its channel, and counts who watches.
type herald struct {
	news    chan sdk.Result // closed by the test
	watches chan error      // what Watch ended with; the test reads each
}

func newHerald() *herald { return &herald{make(chan sdk.Result), make(chan error, 1)} }

func (h *herald) Schema() sdk.Schema                                   { return sdk.Schema{} }
func (h *herald) New(context.Context, sdk.Value) (sdk.Instance, error) { return h, nil }
func (h *herald) Check(context.Context) (sdk.Result, error)            { return sdk.Result{Status: sdk.Pass}, nil }
func (h *herald) Watch(ctx context.Context, changed func(sdk.Result)) error {
	for {
		select {
		case <-ctx.Done():
			h.watches <- ctx.Err()
			return ctx.Err()
		case r, ok := <-h.news:
			if !ok {
				h.watches <- nil
				return nil
			}
			changed(r)
		}
	}
}

var _ sdk.Watcher = (*herald)(nil)

// next returns what comes next, which has to be soon.
func next[T any](t *testing.T, c <-chan T) (v T, ok bool) {
	t.Helper()
	select {
	case v, ok = <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came in 10 s")
	}
	return v, ok
}

func TestWhatChangesIsTold(t *testing.T) {
	h := newHerald()
	told := sdktest.Watch(t, h, `{}`)
	for _, tt := range []struct {
		name       string
		said, want sdk.Result
	}{
		{
			"all of a result arrives",
			sdk.Result{Status: sdk.Fail, Detail: "it ended", Code: "GONE", Parts: []sdk.Part{{Name: "a", Status: sdk.Warn}}, Facts: map[string]string{"pid": "1"}},
			sdk.Result{Status: sdk.Fail, Detail: "it ended", Code: "GONE", Parts: []sdk.Part{{Name: "a", Status: sdk.Warn}}, Facts: map[string]string{"pid": "1"}},
		},
		{"no status is unknown", sdk.Result{Detail: "?"}, sdk.Result{Status: sdk.Unknown, Detail: "?"}},
		{"what is too long is cut", sdk.Result{Status: sdk.Pass, Detail: strings.Repeat("x", 2000)}, sdk.Result{Status: sdk.Pass, Detail: strings.Repeat("x", 1024)}},
	} {
		h.news <- tt.said
		if got, _ := next(t, told); !cmp.Equal(got, tt.want) {
			t.Errorf("%s: told %v, want %v", tt.name, got, tt.want)
		}
	}
	close(h.news)
	if got, more := next(t, told); more {
		t.Errorf("told %v after the plugin had no more to say", got)
	}
	if err, _ := next(t, h.watches); err != nil {
		t.Errorf("Watch ended with %v", err)
	}
}

func TestWatchEndsWithItsHost(t *testing.T) {
	h := newHerald()
	t.Run("a host that goes away", func(t *testing.T) {
		told := sdktest.Watch(t, h, `{}`)
		h.news <- sdk.Result{Status: sdk.Pass}
		next(t, told)
	})
	if err, _ := next(t, h.watches); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v, want that its context ended", err)
	}
}
