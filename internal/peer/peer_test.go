package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/rollout"
)

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A heard message, or why there is none.
type heard struct {
	node string
	m    *Message
	err  error
}

// A station is a node under test.
type station struct {
	*Network
	key   ed25519.PrivateKey
	heard chan heard

	mu  sync.Mutex
	say Message
}

func (s *station) tell(phase rollout.Phase) {
	s.mu.Lock()
	s.say.Phase = phase
	s.mu.Unlock()
	s.Changed()
}

func newStation(t *testing.T, name string, key ed25519.PrivateKey) *station {
	t.Helper()
	s := &station{key: key, heard: make(chan heard, 1000)} // more than a test hears
	s.say = Message{Report: rollout.Report{Node: name, Verified: "aaaaaaa", Stable: true}, State: "converged"}
	n, err := New(Config{
		Node: name, Key: key, Log: slog.New(slog.DiscardHandler),
		Report: func() Message { s.mu.Lock(); defer s.mu.Unlock(); return s.say },
		Heard:  func(node string, m *Message, err error) { s.heard <- heard{node, m, err} },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Network = n
	return s
}

// run runs s until the test or the returned function ends it.
func (s *station) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// hears waits until s hears what ok accepts.
func (s *station) hears(t *testing.T, what string, ok func(heard) bool) heard {
	t.Helper()
	over := time.After(30 * time.Second)
	for {
		select {
		case h := <-s.heard:
			if ok(h) {
				return h
			}
		case <-over:
			t.Fatalf("%s: waited in vain for %s", s.cfg.Node, what)
		}
	}
}

// port returns one that nobody has now on the loopback addresses of a test.
func port(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// cluster makes members of stations, at 127.0.0.2 and so on.
func cluster(port uint16, ss ...*station) []Member {
	var out []Member
	for k, s := range ss {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + k)}), port)
		out = append(out, Member{s.cfg.Node, addr, Public(s.key)})
	}
	return out
}

func from(node string, phase rollout.Phase) func(heard) bool {
	return func(h heard) bool { return h.node == node && h.m != nil && h.m.Phase == phase }
}

func silent(node string) func(heard) bool {
	return func(h heard) bool { return h.node == node && h.err != nil }
}

func TestNodesHearEachOther(t *testing.T) {
	a, b, c := newStation(t, "a", newKey(t)), newStation(t, "b", newKey(t)), newStation(t, "c", newKey(t))
	members := cluster(port(t), a, b, c)
	stop := map[string]func(){}
	for _, s := range []*station{a, b, c} {
		s.Set(members)
		stop[s.cfg.Node] = s.run(t)
	}
	for _, s := range []*station{b, c} {
		s.hears(t, "a", from("a", rollout.Idle))
	}
	a.tell(rollout.Claiming)
	for _, s := range []*station{b, c} {
		s.hears(t, "a's claim", from("a", rollout.Claiming))
	}
	answers := a.Ask(t.Context())
	if len(answers) != 2 || answers["b"].Verified != "aaaaaaa" {
		t.Errorf("Ask = %+v, want answers of b and c", answers)
	}

	stop["c"]()
	a.hears(t, "silence of c", silent("c"))
	if answers := a.Ask(t.Context()); len(answers) != 1 {
		t.Errorf("Ask = %+v, want an answer of b alone", answers)
	}
	again := newStation(t, "c", c.key)
	again.Set(members)
	again.run(t)
	a.hears(t, "c again", from("c", rollout.Idle))

	// A node that is taken out of the cluster is not heard any more, and hears nothing.
	a.Set(members[:2])
	b.Set(members[:2])
	again.hears(t, "silence of a", silent("a"))
}

// TestStrangers: whoever has not the key of the node that he says he is, is not asked and gets
// no answer.
func TestStrangers(t *testing.T) {
	a, b := newStation(t, "a", newKey(t)), newStation(t, "b", newKey(t))
	p := port(t)
	members := cluster(p, a, b)
	a.Set(members)
	a.run(t)
	thief := newStation(t, "b", newKey(t)) // says that it is b
	thief.Set(members)
	thief.run(t)
	if h := a.hears(t, "silence of b", silent("b")); h.err == nil {
		t.Error("a hears a thief")
	}
	if h := thief.hears(t, "silence of a", silent("a")); h.err == nil {
		t.Error("a thief hears a")
	}
	// And without any certificate, or with old TLS.
	for _, c := range []*tls.Config{{InsecureSkipVerify: true}, {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: c}, Timeout: 10 * time.Second}
		res, err := client.Get("https://" + members[0].Address.String() + "/v1/status")
		if err == nil {
			res.Body.Close()
			t.Errorf("a stranger gets %s", res.Status)
		}
	}
	// The key of another member is not the one of the member that is asked.
	swapped := []Member{members[0], {"b", members[1].Address, Public(a.key)}}
	a.Set(swapped)
	a.hears(t, "silence of b", silent("b"))
}

// TestNonsense of a node whose key is right does no harm.
func TestNonsense(t *testing.T) {
	a, b := newStation(t, "a", newKey(t)), newStation(t, "b", newKey(t))
	members := cluster(port(t), a, b)
	cert, err := certificate(b.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", members[1].Address.String(), expecting(cert, func(string) bool { return true }))
	if err != nil {
		t.Fatal(err)
	}
	says := make(chan string, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, <-says) })}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	a.Set(members)
	a.run(t)
	for _, text := range []string{
		"", "}{", `{"message":{"node":"c"}}`, `{"message":{"node":"b","phase":` + strings.Repeat("[", 100000), strings.Repeat(" ", 1<<20),
	} {
		says <- text
		a.hears(t, "nonsense", silent("b"))
	}
	says <- `{"mark":"1","message":{"node":"b","verified":"bbbbbbb"}}`
	if h := a.hears(t, "sense", from("b", rollout.Idle)); h.m.Verified != "bbbbbbb" {
		t.Errorf("b says %+v", h.m)
	}
	close(says)
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	key, err := LoadKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(dir)
	if err != nil || !key.Equal(again) || !strings.HasPrefix(Public(key), "ed25519:") {
		t.Errorf("the second time it is %v, %v", again, err)
	}
	name := filepath.Join(dir, KeyFile)
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the key's file is %v, %v, want mode 0600", st, err)
	}
	for _, text := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nMTIz\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(dir); err == nil {
			t.Errorf("%q was taken for a key", text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"mark":"1","message":{"node":"b","verified":"bbbbbbb","instances":[{"name":"web","state":"MASTER","priority":150}]}}`)
	f.Add(`{"message":{"node":"b","quarantined":["a","b"],"reasons":{"a":"b"}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := decode(strings.NewReader(text), "b")
		if err != nil {
			return
		}
		if m := p.Message; m.Node != "b" || len(m.Instances) > maxInstances || len(m.Quarantined) > maxQuarantined || len(fmt.Sprint(m.Subject)) > maxText {
			t.Errorf("decode(%q) = %+v", text, m)
		}
	})
}
