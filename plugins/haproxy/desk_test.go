package main

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// patient makes watchers that take one another's answers, however old.
func patient() tracker { return tracker{newDesk(time.Hour)} }

// TestTogether: twenty watchers of one haproxy, each of another frontend, ask one question a
// round.
func TestTogether(t *testing.T) {
	const watchers = 20
	var mu sync.Mutex
	var lines []string
	socket := fake(t, func(c net.Conn) {
		b := make([]byte, 16<<10)
		n, _ := c.Read(b)
		line := strings.TrimSpace(string(b[:n]))
		mu.Lock()
		lines = append(lines, line)
		mu.Unlock()
		fmt.Fprint(c, info)
		for name := range strings.SplitSeq(line, ";") {
			if f := strings.Fields(name); len(f) == 5 {
				fmt.Fprintf(c, "# pxname,svname,status,\n%s,FRONTEND,OPEN,\n\n", f[2])
			}
		}
	})
	h := &server{socket: socket, text: func(s string) string { return s }}
	tr := patient()
	var ws []*watcher
	for n := range watchers {
		ws = append(ws, h.another(t, tr, fmt.Sprintf(`{"socket": %q, "frontends": ["fe%d"]}`, socket, n)))
	}
	for round := 1; round <= 3; round++ {
		var wg sync.WaitGroup
		for n, w := range ws {
			wg.Go(func() { expect(t, look(t, w, 5*time.Second), sdk.Pass, fmt.Sprintf("frontend fe%d is OPEN", n)) })
		}
		wg.Wait()
		mu.Lock()
		if len(lines) != round {
			t.Errorf("%d questions in %d rounds: %q", len(lines), round, lines)
		}
		mu.Unlock()
	}
	// What was not asked for yet is asked alone.
	late := h.another(t, tr, fmt.Sprintf(`{"socket": %q, "frontends": ["late"]}`, socket))
	expect(t, look(t, late, 5*time.Second), sdk.Pass, "frontend late is OPEN")
	if last := lines[len(lines)-1]; last != "show info;show stat late 1 -1" {
		t.Errorf("asked %q", last)
	}
	// And who left is not asked for any more.
	for _, w := range ws {
		_ = w.Close()
		_ = w.Close() // which does not leave twice
	}
	_ = look(t, late, 5*time.Second)
	if last := lines[len(lines)-1]; last != "show info;show stat late 1 -1" {
		t.Errorf("asked %q", last)
	}
	_ = late.Close()
	if len(tr.desk.counters) != 0 {
		t.Errorf("%d sockets are kept of watchers that were closed", len(tr.desk.counters))
	}
}

// TestTooMuchForALine: what does not fit is asked by each alone.
func TestTooMuchForALine(t *testing.T) {
	h := start(t, config, "-db")
	tr := patient()
	long := strings.Repeat("a", 100)
	for n := range 2 {
		names := ""
		for k := range 60 {
			names += fmt.Sprintf(`, "%s%d.%d"`, long, n, k)
		}
		h.another(t, tr, `{"socket": "SOCKET", "frontends": [`+names[2:]+`]}`)
	}
	last := h.another(t, tr, `{"socket": "SOCKET", "frontends": ["fe_web"]}`)
	line := strings.Join(tr.desk.counters[h.socket].all(), ";")
	if len(line) > maxNames+len(showInfo)+1 || strings.Contains(line, "fe_web") {
		t.Errorf("asked together is a line of %d bytes: %.300q", len(line), line)
	}
	for range 2 {
		expect(t, look(t, last, 5*time.Second), sdk.Pass, "frontend fe_web is OPEN")
	}
}

// TestAnAnswerOfTheDead: after the end of the process nobody takes what it said before for news.
func TestAnAnswerOfTheDead(t *testing.T) {
	h := pair(t, config)
	tr := patient()
	a, b := h.another(t, tr, all), h.another(t, tr, all)
	h.await(t, b, sdk.Pass, "")
	h.await(t, a, sdk.Pass, "") // whose answer b has not had
	h.reap()
	if r := look(t, b, 5*time.Second); r.Status != sdk.Fail {
		t.Errorf("after its end haproxy is %s %s (%s)", r.Status, r.Code, r.Detail)
	}
}
