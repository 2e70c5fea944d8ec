package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/check/answer"
)

// read feeds text in pieces of at most n bytes, and the end.
func read(r *Reader, w Want, text string, n int) error {
	r.Reset(w)
	for len(text) > 0 && !r.Done() {
		piece := text[:min(n, len(text))]
		text = text[len(piece):]
		if err := r.Feed([]byte(piece)); err != nil {
			return err
		}
	}
	if r.Done() {
		return nil
	}
	return r.End()
}

func TestReader(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, tt := range []struct {
		name, text string
		status     int
		body       string
		err        string
	}{
		{"a length ends the body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", 200, "ok", ""},
		{"the connection's end ends it", "HTTP/1.0 200 OK\r\n\r\nok", 200, "ok", ""},
		{"so do chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2;x=y\r\nok\r\nA\r\n0123456789\r\n0\r\nT: u\r\n\r\n", 200, "ok0123456789", ""},
		{"chunks outrank a length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 200, "x", ""},
		{"HTTP/1.0 has no chunks", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", 200, "1\r\n", ""},
		{"a reason may be missing", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", ""},
		{"lines may end in LF alone", "HTTP/1.1 200 OK\nContent-Length: 1\n\nx", 200, "x", ""},
		{"provisional answers are passed over", "HTTP/1.1 100 Go\r\nContent-Length: 7\r\n\r\nHTTP/1.1 204 No\r\n\r\n", 204, "", ""},
		{"their length is not the answer's", "HTTP/1.1 103 Early\r\nContent-Length: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\nwhole", 200, "whole", ""},
		{"nor are their chunks", "HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole", 200, "whole", ""},
		{"a body of the bound is whole", "HTTP/1.1 200 OK\r\n\r\n" + long[:answer.MaxBody], 200, long[:answer.MaxBody], ""},
		{"a length beside one of 0 is none", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\nx", 200, "", "bad Content-Length"},
		{"chunks within chunks are refused", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", "unsupported Transfer-Encoding"},
		{"a header may be folded by a tab", "HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nContent-Length: 0\r\n\r\n", 200, "", ""},
		{"not modified has no body", "HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", 304, "", ""},
		{"a body is cut", "HTTP/1.1 200 OK\r\n\r\n" + long, 200, long[:answer.MaxBody], ""},
		{"a folded header is passed over", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", 200, "", ""},
		{"an equal length twice is one", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 200, "x", ""},
		{"two lengths are none", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 200, "", "bad Content-Length"},
		{"a length is a number", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 200, "", "bad Content-Length"},
		{"and not a huge one", "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n", 200, "", "bad Content-Length"},
		{"other encodings are refused", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 200, "", "unsupported Transfer-Encoding"},
		{"nothing is no answer", "", 0, "", "connection closed without an answer"},
		{"half a status line is none", "HTTP/1.", 0, "", "connection closed in the middle of the answer"},
		{"half a head is none", "HTTP/1.1 200 OK\r\n", 200, "", "connection closed in the middle of the answer"},
		{"half a body is a failure", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", 200, "ok", "connection closed in the middle of the answer"},
		{"half a chunk too", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", 200, "ok", "connection closed in the middle of the answer"},
		{"a missing last chunk too", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", 200, "ok", "connection closed in the middle of the answer"},
		{"a chunk length is hex", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", 200, "", "invalid byte in chunk length"},
		{"and not empty", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\n", 200, "", "empty hex number"},
		{"nor huge", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", 200, "", "http chunk length too large"},
		{"a chunk ends with its line", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n", 200, "x", "malformed chunked encoding"},
		{"garbage is refused", long[:5000] + "\r\n\r\n", 0, "", `malformed HTTP response "xxx`},
		{"HTTP/2 is garbage here", "HTTP/2.0 200 OK\r\n\r\n", 0, "", `malformed HTTP response "HTTP/2.0`},
		{"a status has three digits", "HTTP/1.1 2000 OK\r\n\r\n", 0, "", "malformed HTTP response"},
		{"a header has a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", 200, "", "malformed header line"},
		{"a huge head is refused", "HTTP/1.1 200 OK\r\nX: " + long, 200, "", "its header is longer than 64 KiB"},
		{"many heads are one head", strings.Repeat("HTTP/1.1 103 Early\r\nX: y\r\n\r\n", 3000), 103, "", "its header is longer than 64 KiB"},
		{"chunks are more content than frame", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+long[:1000]+"\r\nx\r\n", 600), 200, "", "chunked encoding of more frames than content"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{1, 3, 1 << 20} {
				var r Reader
				err := read(&r, Want{Body: true}, tt.text, n)
				switch {
				case tt.err == "" && (err != nil || r.Status != tt.status || string(r.Body) != tt.body):
					t.Errorf("in pieces of %d: %d %.20q, %v, want %d %.20q", n, r.Status, r.Body, err, tt.status, tt.body)
				case tt.err == "" && r.Cut != (tt.name == "a body is cut"):
					t.Errorf("in pieces of %d: cut = %t", n, r.Cut)
				case tt.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.err)):
					t.Errorf("in pieces of %d: error %v, want %q", n, err, tt.err)
				}
			}
		})
	}
}

func TestReaderKeepsWhatIsWanted(t *testing.T) {
	var r Reader
	text := "HTTP/1.1 302 Go\r\nlocation: /there\r\nX-Weight:  42 \r\nContent-Length: 9\r\n\r\n"
	if err := read(&r, Want{Head: true, Header: "x-weight"}, text, 7); err != nil || string(r.Location) != "/there" || string(r.Value) != "42" {
		t.Errorf("location %q, weight %q, %v", r.Location, r.Value, err)
	}
	if err := read(&r, Want{}, "HTTP/1.1 200 OK\r\n\r\nbody", 7); err != nil || len(r.Location)+len(r.Value)+len(r.Body) != 0 {
		t.Errorf("a second answer has location %q, weight %q, body %q, %v", r.Location, r.Value, r.Body, err)
	}
}

// TestProvisionalAnswersSayNothingOfTheLast has a redirect and a weight in one that is passed over.
func TestProvisionalAnswersSayNothingOfTheLast(t *testing.T) {
	var r Reader
	text := "HTTP/1.1 103 Early\r\nLocation: /there\r\nX-Weight: 42\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	if err := read(&r, Want{Header: "x-weight"}, text, 7); err != nil || len(r.Location)+len(r.Value) != 0 {
		t.Errorf("location %q, weight %q, %v; want none", r.Location, r.Value, err)
	}
}

// TestReaderKeepsLittle: a thousand readers that once met a long answer are no heap of memory.
func TestReaderKeepsLittle(t *testing.T) {
	var r Reader
	if err := read(&r, Want{Body: true}, "HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", answer.MaxBody), 1<<20); err != nil {
		t.Fatal(err)
	}
	if r.Reset(Want{}); cap(r.Body) > kept {
		t.Errorf("kept %d bytes for the next answer, want at most %d", cap(r.Body), kept)
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	var r Reader
	text := []byte("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello")
	n := testing.AllocsPerRun(100, func() {
		r.Reset(Want{Body: true, Header: "Server"})
		if err := errors.Join(r.Feed(text[:30]), r.Feed(text[30:])); err != nil || !r.Done() {
			t.Fatal("not done")
		}
	})
	if n != 0 {
		t.Errorf("an answer allocates %v times, want none", n)
	}
}

// FuzzReader: pieces make no difference, bounds hold, and where net/http reads an answer
// too, it reads the same.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 103 Early\r\n\r\nHTTP/1.0 404 No\r\nLocation: /x\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nx",
		"HTTP/1.1 200\nContent-Length: 1\nContent-Length: 1\n\n",
	} {
		f.Add(s, uint8(3), false)
	}
	f.Fuzz(func(t *testing.T, text string, piece uint8, head bool) {
		w := Want{Head: head, Body: true, Header: "server"}
		var whole, split Reader
		err, err2 := read(&whole, w, text, len(text)+1), read(&split, w, text, int(piece)+1)
		if (err == nil) != (err2 == nil) || whole.Status != split.Status || err == nil && !bytes.Equal(whole.Body, split.Body) {
			t.Fatalf("in one piece %d %q %v, in pieces of %d: %d %q %v", whole.Status, whole.Body, err, piece, split.Status, split.Body, err2)
		}
		if len(whole.Body) > answer.MaxBody || whole.head > answer.MaxHeader+len(text) {
			t.Fatalf("%d bytes of body, %d of heads", len(whole.Body), whole.head)
		}
		if err == nil {
			agree(t, &whole, text, head)
		}
	})
}

func agree(t *testing.T, r *Reader, text string, head bool) {
	req := &http.Request{Method: "GET"}
	if head {
		req.Method = "HEAD"
	}
	from := bufio.NewReader(strings.NewReader(text))
	for {
		resp, err := http.ReadResponse(from, req)
		if err != nil {
			return
		}
		if resp.StatusCode < 200 && resp.StatusCode != 101 {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, answer.MaxBody))
		if resp.StatusCode != r.Status || err == nil && resp.StatusCode != 101 && !bytes.Equal(body, r.Body) {
			t.Fatalf("net/http reads %d %q, we %d %q", resp.StatusCode, body, r.Status, r.Body)
		}
		return
	}
}
