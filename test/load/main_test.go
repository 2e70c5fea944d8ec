package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestLoadCountsBodiesAndFailures(t *testing.T) {
	var n atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 2:
			w.WriteHeader(http.StatusTeapot)
		default:
			_, _ = w.Write([]byte("hello\n"))
		}
	}))
	s.Start()
	defer s.Close()
	var out, msg bytes.Buffer
	args := []string{"-address", s.Listener.Addr().String(), "-count", "4", "-rate", "10"}
	if code := run(t.Context(), args, &out, &msg); code != 0 {
		t.Fatalf("run() = %d, want 0: %s", code, &msg)
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Requests != 4 || r.OK != 3 || r.Failed != 1 || r.Bodies["hello"] != 3 {
		t.Errorf("report = %+v, want 4 requests, 3 of them answered with hello", r)
	}
	if len(r.Failures) != 1 || !strings.Contains(r.Failures[0].Error, "418") {
		t.Errorf("failures = %v, want one with status 418", r.Failures)
	}
	if r.LongestGap < 150 {
		t.Errorf("longest gap = %v ms, want about 200 across the failure", r.LongestGap)
	}
}

func TestLoadReportsARefusedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	var out, msg bytes.Buffer
	if code := run(t.Context(), []string{"-address", l.Addr().String(), "-count", "1"}, &out, &msg); code != 0 {
		t.Fatalf("run() = %d, want 0: %s", code, &msg)
	}
	if !strings.Contains(out.String(), "connection refused") {
		t.Errorf("report = %s, want the refusal in it", &out)
	}
}

func TestLoadRefusesUnboundedWork(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-address", "x:1", "-rate", "100000"}, {"-address", "x:1", "-for", "48h"}, {"-nonsense"},
	} {
		var out, msg bytes.Buffer
		if code := run(t.Context(), args, &out, &msg); code != 2 || msg.Len() == 0 {
			t.Errorf("run(%q) = %d with message %q, want 2 and a message", args, code, &msg)
		}
	}
}
