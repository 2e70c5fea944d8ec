package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

const info = "Name: HAProxy\nVersion: 9.9\nPid: 7\nStopping: 0\n\n"

// fake listens like haproxy and answers with whatever handle writes.
func fake(t *testing.T, handle func(net.Conn)) (socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return socket
}

func say(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		fmt.Fprint(c, text)
	}
}

func TestAnswers(t *testing.T) {
	header := "# pxname,svname,status,act,bck,\n"
	for _, tt := range []struct {
		name    string
		handle  func(net.Conn)
		want    sdk.Status
		message string
	}{
		{"a good answer", say(info + header + "fe,FRONTEND,OPEN,,,\n\n" + header + "be,BACKEND,UP,1,1,\n\n"), sdk.Pass, "backend be has 2 servers up"},
		{"a full frontend serves", say(info + header + "fe,FRONTEND,FULL,,,\nbe,BACKEND,UP,2,0,\n"), sdk.Pass, "FULL"},
		{"a stopping process does not", say(strings.Replace(info, "Stopping: 0", "Stopping: 1", 1)), sdk.Fail, "stopping"},
		{"a closed frontend does not", say(info + header + "fe,FRONTEND,STOP,,,\n"), sdk.Fail, "frontend fe is STOP"},
		{"a refusal", say("Permission denied\n"), sdk.Fail, "not haproxy"},
		{"garbage", say(strings.Repeat("\x00\xff\n,\"", 10_000)), sdk.Fail, "not haproxy"},
		{"broken tables", say(info + header + "\"fe,FRONTEND\nfe,FRONTEND,OPEN,,,,,,,,,,,\n"), sdk.Fail, "no frontend fe"},
		{"numbers that are none", say(info + header + "fe,FRONTEND,OPEN,,,\nbe,BACKEND,UP,-1,99999999999999999999,\n"), sdk.Fail, "0 servers up"},
		{"nothing", say(""), sdk.Fail, "without an answer"},
		{"silence", func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); _, _ = c.Read(make([]byte, 1)) }, sdk.Fail, "does not answer"},
		{"endless output", endless(strings.Repeat("x: y\n", 10_000), 0), sdk.Unknown, "longer than 1048576 bytes"},
		{"drips", endless("x", 10*time.Millisecond), sdk.Unknown, "read reply"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &watcher{socket: fake(t, tt.handle), frontends: []string{"fe"}, backends: []string{"be"}, minUp: 2}
			begin := time.Now()
			expect(t, look(t, w, time.Second), tt.want, tt.message)
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %v, the deadline is 1s", took)
			}
		})
	}
}

func endless(text string, pause time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		tick := time.NewTicker(cmp.Or(pause, time.Hour))
		defer tick.Stop()
		for {
			if _, err := fmt.Fprint(c, text); err != nil {
				return
			}
			if pause > 0 {
				<-tick.C
			}
		}
	}
}

func TestConfiguration(t *testing.T) {
	good := fake(t, say(info))
	sdktest.Run(t, tracker{}, []sdktest.Case{
		{Name: "the socket alone will do", Config: fmt.Sprintf(`{"socket": %q}`, good), Want: sdk.Pass, Detail: "haproxy 9.9"},
		{Name: "a socket is required", Config: `{}`, Mistakes: []string{"socket"}},
		{Name: "a relative path is refused", Config: `{"socket": "a.sock"}`, Mistakes: []string{"socket"}},
		{Name: "min_up without backends is refused", Config: `{"socket": "/s", "min_up": 1}`, Mistakes: []string{"min_up"}},
		{Name: "half a server is refused", Config: `{"socket": "/s", "backends": ["b"], "min_up": 1.5}`, Mistakes: []string{"min_up"}},
		{Name: "a name cannot hold commands", Config: `{"socket": "/s", "frontends": ["a;shutdown sessions server x"]}`, Mistakes: []string{"frontends"}},
		{Name: "too many names are refused", Config: `{"socket": "/s", "backends": ["b"` + strings.Repeat(`,"b"`, maxProxies) + `]}`, Mistakes: []string{"backends"}},
		{Name: "no socket there means down", Config: `{"socket": "/nonexistent/s"}`, Want: sdk.Fail, Detail: "there is no socket"},
	})
}

func FuzzParse(f *testing.F) {
	f.Add(info + "# pxname,svname,status,act,bck,\nfe,FRONTEND,OPEN,,,\n")
	f.Add("# \n,,,,\n\"")
	f.Fuzz(func(t *testing.T, reply string) {
		s := parse(reply)
		for name, b := range s.backends {
			if b.up < 0 {
				t.Errorf("backend %q has %d servers up", name, b.up)
			}
		}
	})
}

// TestSilenceOfOurs tells a frozen haproxy from a plugin that was stopped itself.
func TestSilenceOfOurs(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	if err := silence(ctx, deadline.Add(20*time.Millisecond)); !errors.Is(err, errSilent) {
		t.Errorf("at the deadline: %v, want %v", err, errSilent)
	}
	if err := silence(ctx, deadline.Add(5*time.Second)); errors.Is(err, errSilent) || !strings.Contains(err.Error(), "stopped for 5s") {
		t.Errorf("long after the deadline: %v, want no word on haproxy", err)
	}
	if err := silence(t.Context(), deadline); !errors.Is(err, errSilent) {
		t.Errorf("without a deadline: %v, want %v", err, errSilent)
	}
}
