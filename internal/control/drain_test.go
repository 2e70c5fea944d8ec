package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

var (
	noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	// twoServers has pool web with rs1 and rs2, pool mail with mx1, which the file drains, pool
	// few, which needs two of its three servers, and pool idle, which nobody asks.
	twoServers = &spec.Cluster{Pools: []spec.Pool{
		{Name: "web", Drain: 2 * time.Minute, Servers: []spec.Server{{Name: "rs1", Weight: 1}, {Name: "rs2", Weight: 1}}},
		{Name: "mail", Servers: []spec.Server{{Name: "mx1", Draining: true, Origin: spec.Origin{File: "cluster.hcl", Line: 9}}}},
		{Name: "few", Servers: []spec.Server{{Name: "a", Weight: 1}, {Name: "b", Weight: 2}, {Name: "c", Weight: 1}}},
		{Name: "idle", Servers: []spec.Server{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}}},
	}, VirtualServers: []spec.VirtualServer{
		{Name: "http", Pool: "web", Sorry: "mail"},
		{Name: "ftp", Pool: "few", Quorum: 3, Hysteresis: 1, Origin: spec.Origin{Address: "virtual_server.ftp"}},
	}}
)

func TestJudgeDrain(t *testing.T) {
	none := []Drain(nil)
	ends := []Drain{{Server: "web/rs1", State: Draining, Until: noon}}
	gone := []Drain{{Server: "web/rs1", State: Drained}}
	other := []Drain{{Server: "web/rs2", State: Drained}}
	both, one := []reconcile.ServerRef{"web/rs1", "web/rs2"}, []reconcile.ServerRef{"web/rs1"}
	three, two := []reconcile.ServerRef{"few/a", "few/b", "few/c"}, []reconcile.ServerRef{"few/a", "few/b"}
	for _, tt := range []struct {
		name   string
		r      DrainRequest
		drains []Drain
		up     []reconcile.ServerRef
		want   string // empty: allowed
	}{
		{"one of two", DrainRequest{Server: "web/rs1"}, none, both, ""},
		{"one that is down", DrainRequest{Server: "web/rs2"}, none, one, ""},
		{"the last one", DrainRequest{Server: "web/rs1"}, none, one, "rs1 is the last server in service of pool web; to drain it nevertheless, add -force"},
		{"the last one by force", DrainRequest{Server: "web/rs1", Force: true}, none, one, ""},
		{"one that a quorum can spare", DrainRequest{Server: "few/b"}, none, three, ""},
		{"one that a quorum needs", DrainRequest{Server: "few/b"}, none, two, "without few/b virtual_server.ftp loses its quorum: the others have a weight of 1 together, and it needs 2; to drain it nevertheless, add -force"},
		{"one that a quorum needs by force", DrainRequest{Server: "few/b", Force: true}, none, two, ""},
		{"one that is down without quorum", DrainRequest{Server: "few/b"}, none, []reconcile.ServerRef{"few/a"}, ""},
		{"one of a pool without clients", DrainRequest{Server: "idle/a"}, none, both, "this node sends nothing to idle/a: no virtual server that it directs uses pool idle"},
		{"back from a pool without clients", DrainRequest{Server: "idle/a", Cancel: true}, []Drain{{Server: "idle/a", State: Drained}}, both, ""},
		{"a slip", DrainRequest{Server: "web/rs11"}, none, both, `there is no server "web/rs11", as POOL/SERVER. Did you mean "web/rs1"?`},
		{"a server without a pool", DrainRequest{Server: "rs1"}, none, both, `"rs1" lacks its pool: there is web/rs1`},
		{"a pool", DrainRequest{Server: "web"}, none, both, `"web" is a pool: name one of its servers, as in web/rs1`},
		{"nothing", DrainRequest{}, none, both, `there is no server ""`},
		{"twice", DrainRequest{Server: "web/rs1"}, ends, both, "web/rs1 is draining already, until 2026-01-02T12:00:00Z; give a -deadline to change that"},
		{"another deadline", DrainRequest{Server: "web/rs1", Deadline: 1}, ends, one, ""},
		{"what is gone", DrainRequest{Server: "web/rs1", Deadline: 1}, gone, both, "web/rs1 is drained already; to take it back, run: hareconcile undrain web/rs1"},
		{"while another is out", DrainRequest{Server: "web/rs1"}, other, both, ""},
		{"what the file drains", DrainRequest{Server: "mail/mx1"}, none, both, "the cluster file drains mail/mx1 already (cluster.hcl:9)"},
		{"back", DrainRequest{Server: "web/rs1", Cancel: true}, gone, both, ""},
		{"back without being away", DrainRequest{Server: "web/rs1", Cancel: true}, other, both, "web/rs1 is not drained"},
		{"back against the file", DrainRequest{Server: "mail/mx1", Cancel: true}, none, both, "take draining = true out there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			weight := func(p spec.Pool, s spec.Server) int {
				if !slices.Contains(tt.up, reconcile.NewServerRef(p.Name, s.Name)) {
					return 0
				}
				return s.Weight
			}
			p, err := JudgeDrain(tt.r, Scene{twoServers, twoServers.VirtualServers, tt.drains, weight})
			if tt.want == "" {
				if err != nil || !strings.HasPrefix(string(tt.r.Server), p.Name+"/") {
					t.Errorf("JudgeDrain(%+v) = %s, %v, want it allowed", tt.r, p.Name, err)
				}
				return
			}
			var api *APIError
			if !errors.As(err, &api) || api.Code != "invalid" || !strings.Contains(api.Message, tt.want) {
				t.Errorf("JudgeDrain(%+v) = %v, want %q", tt.r, err, tt.want)
			}
		})
	}
}

func TestPatienceIsTheRequestsOrThePools(t *testing.T) {
	for _, tt := range []struct{ deadline, pool, want time.Duration }{
		{time.Second, time.Minute, time.Second}, {0, time.Minute, time.Minute}, {0, 0, 5 * time.Minute},
	} {
		got := DrainRequest{Deadline: resource.Duration(tt.deadline)}.Patience(spec.Pool{Drain: tt.pool})
		if got != tt.want {
			t.Errorf("Patience of %v with a pool's %v = %v, want %v", tt.deadline, tt.pool, got, tt.want)
		}
	}
}

func TestADrainGoesThereAndBack(t *testing.T) {
	b := newBackend()
	var log bytes.Buffer
	c := dial(t, serve(t, b, &log))
	if ds, err := c.Drains(t.Context()); err != nil || ds == nil || len(ds) != 0 {
		t.Errorf("Drains before any = %v, %v, want an empty list", ds, err)
	}
	ds, err := c.Drain(t.Context(), DrainRequest{Server: "web/rs1"})
	want := []Drain{{Server: "web/rs1", State: Draining, Connections: 3, Since: noon, Until: noon.Add(2 * time.Minute)}}
	if d := cmp.Diff(want, ds); err != nil || d != "" {
		t.Fatalf("Drain: %v (-want +got):\n%s", err, d)
	}
	_, err = c.Drain(t.Context(), DrainRequest{Server: "web/rs3"})
	var api *APIError
	if !errors.As(err, &api) || api.Code != "invalid" || !strings.Contains(api.Message, "Did you mean") {
		t.Errorf("Drain of a server that is none = %v, want a suggestion", err)
	}
	enough := errors.New("enough")
	var counts []int
	err = c.WatchDrains(t.Context(), func(ds []Drain) error {
		counts = append(counts, len(ds))
		if len(counts) == 2 {
			return enough
		}
		b.set(Applying) // changes the status and not its drains
		_, err := b.Drain(t.Context(), DrainRequest{Server: "web/rs1", Cancel: true})
		return err
	})
	if d := cmp.Diff([]int{1, 0}, counts); !errors.Is(err, enough) || d != "" {
		t.Errorf("WatchDrains: %v (-want +got):\n%s", err, d)
	}
}

func TestProgressIsFollowedAlone(t *testing.T) {
	b := newBackend()
	c := dial(t, serve(t, b, io.Discard))
	enough := errors.New("enough")
	var got []Progress
	err := c.WatchProgress(t.Context(), func(p Progress) error {
		got = append(got, p)
		if len(got) == 2 {
			return enough
		}
		b.mu.Lock()
		b.status.Progress = &Progress{Done: 1, Total: 2, Kind: resource.KindIPVSServer}
		b.mu.Unlock()
		b.set(Applying)
		return nil
	})
	if d := cmp.Diff([]Progress{{}, {1, 2, resource.KindIPVSServer}}, got); !errors.Is(err, enough) || d != "" {
		t.Errorf("WatchProgress: %v (-want +got):\n%s", err, d)
	}
}

func FuzzDrainRequest(f *testing.F) {
	f.Add(`{"server":"web/rs1","deadline":"5m0s","cancel":false}`)
	f.Add(`{"server":"web/rs1","deadline":"-1s"}`)
	f.Add(`{"server":"web/rs1","deadline":"25h"}`)
	f.Add(`{"server":1}`)
	f.Add(`{"server":"a"} {}`)
	f.Add(`{"sever":"a"}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := readDrain(strings.NewReader(text))
		if err != nil {
			return
		}
		if r.Deadline < 0 || time.Duration(r.Deadline) > maxDrain {
			t.Errorf("readDrain accepts a deadline of %v", r.Deadline)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := readDrain(bytes.NewReader(b)); err != nil || again != r {
			t.Errorf("round trip of %+v = %+v, %v", r, again, err)
		}
	})
}
