package main

import (
	"cmp"
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
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	header := "# pxname,svname,status,weight,bck,\n"
	servers := "be,a,UP,1,0,\nbe,b,UP,1,1,\n"
	for _, tt := range []struct {
		name    string
		handle  func(net.Conn)
		want    sdk.Status
		message string
	}{
		{"a good answer", say(info + header + "fe,FRONTEND,OPEN,,,\n\n" + header + servers + "be,BACKEND,UP,2,0,\n\n"), sdk.Pass, "backend be has 2 servers up"},
		{"a full frontend serves", say(info + header + "fe,FRONTEND,FULL,,,\n" + servers + "be,BACKEND,UP,2,0,\n"), sdk.Pass, "FULL"},
		{"servers that are full make requests wait", say(info + "# pxname,svname,status,weight,bck,scur,slim,\nfe,FRONTEND,OPEN,,,1,9,\nbe,a,UP,1,0,10,10,\nbe,b,UP,1,0,9,9,\nbe,BACKEND,UP,2,0,19,,\n"), sdk.Warn, "connections to the servers of backend be 19 of 19"},
		{"a server without a limit takes more", say(info + "# pxname,svname,status,weight,bck,scur,slim,\nfe,FRONTEND,OPEN,,,1,9,\nbe,a,UP,1,0,10,10,\nbe,b,UP,1,0,9,,\nbe,BACKEND,UP,2,0,19,,\n"), sdk.Pass, "OPEN"},
		{"a stopping process does not", say(strings.Replace(info, "Stopping: 0", "Stopping: 1", 1)), sdk.Fail, "stopping"},
		{"a closed frontend does not", say(info + header + "fe,FRONTEND,STOP,,,\n"), sdk.Fail, "frontend fe is STOP"},
		{"a refusal", say("Permission denied\n"), sdk.Fail, "not haproxy"},
		{"garbage", say(strings.Repeat("\x00\xff\n,\"", 10_000)), sdk.Fail, "not haproxy"},
		{"broken tables", say(info + header + "\"fe,FRONTEND\nfe,FRONTEND,OPEN,,,,,,,,,,,\n"), sdk.Unknown, "not how haproxy answers"},
		{"numbers that are none", say(info + header + "fe,FRONTEND,OPEN,,,\nbe,a,UP,-1,99999999999999999999,\nbe,BACKEND,UP,,,\n"), sdk.Fail, "0 servers up"},
		{"nothing", say(""), sdk.Fail, "without an answer"},
		{"silence", func(net.Conn) { <-over }, sdk.Fail, "does not answer"},
		{"endless output is read to a bound, or to the deadline", endless(strings.Repeat("x: y\n", 10_000), 0), sdk.Unknown, "repl"},
		{"drips", endless("x", 10*time.Millisecond), sdk.Unknown, "read reply"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &server{socket: fake(t, tt.handle), text: func(s string) string { return s }}
			w := h.watcher(t, fmt.Sprintf(`{"socket": %q, "frontends": ["fe"], "backends": ["be"], "min_up": 2}`, h.socket))
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
	sdktest.Run(t, newTracker(), []sdktest.Case{
		{Name: "the socket alone will do", Config: fmt.Sprintf(`{"socket": %q}`, good), Want: sdk.Pass, Detail: "haproxy 9.9"},
		{Name: "a socket is required", Config: `{}`, Mistakes: []string{"socket"}},
		{Name: "a relative path is refused", Config: `{"socket": "a.sock"}`, Mistakes: []string{"socket"}},
		{Name: "min_up without backends is refused", Config: `{"socket": "/s", "min_up": 1}`, Mistakes: []string{"min_up"}},
		{Name: "half a server is refused", Config: `{"socket": "/s", "backends": ["b"], "min_up": 1.5}`, Mistakes: []string{"min_up"}},
		{Name: "a name cannot hold commands", Config: `{"socket": "/s", "frontends": ["a;shutdown sessions server x"]}`, Mistakes: []string{"frontends"}},
		{Name: "too many names are refused", Config: `{"socket": "/s", "backends": ["b"` + strings.Repeat(`,"b"`, maxProxies) + `]}`, Mistakes: []string{"backends"}},
		{Name: "a weight of nothing", Config: `{"socket": "/s", "min_weight_ratio": 0.5}`, Mistakes: []string{"min_weight_ratio"}},
		{Name: "half a second is no string", Config: `{"socket": "/s", "pause_grace": "3"}`, Mistakes: []string{"pause_grace"}},
		{Name: "two names for the process", Config: `{"socket": "/s", "pidfile": "/p", "unit": "haproxy.service"}`, Mistakes: []string{"unit"}},
		{Name: "a unit leads nowhere else", Config: `{"socket": "/s", "unit": "../x.service"}`, Mistakes: []string{"unit"}},
		{Name: "a share is no percentage", Config: `{"socket": "/s", "warn_capacity": 80}`, Mistakes: []string{"warn_capacity"}},
		{Name: "warn is before crit", Config: `{"socket": "/s", "warn_capacity": 0.99}`, Mistakes: []string{"warn_capacity"}},
		{Name: "a certificate's name cannot hold commands", Config: `{"socket": "/s", "certs": ["/a;del"]}`, Mistakes: []string{"certs"}},
		{Name: "an address needs a port", Config: `{"socket": "/s", "listen": ["127.0.0.1"]}`, Mistakes: []string{"listen"}},
		{Name: "a name may lead elsewhere", Config: `{"socket": "/s", "http_url": "http://localhost/"}`, Mistakes: []string{"http_url"}},
		{Name: "an expectation of nothing", Config: `{"socket": "/s", "http_expect": "200"}`, Mistakes: []string{"http_expect"}},
		{Name: "an expectation that is none", Config: `{"socket": "/s", "http_url": "http://127.0.0.1/", "http_expect": "ok"}`, Mistakes: []string{"http_expect"}},
		{Name: "no socket there means down", Config: `{"socket": "/nonexistent/s"}`, Want: sdk.Fail, Detail: "there is no socket"},
	})
}
