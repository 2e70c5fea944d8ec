package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A web asks in HTTP/1.0, 1.1 or 2.
type web struct {
	wire    *wire
	check   spec.HTTPCheck
	judge   *answer.HTTP
	request answer.Request
}

// newHTTP asks over a new connection and judges the answer.
func newHTTP(c spec.Check, t Target) (look, error) {
	if c.HTTP == nil {
		c.HTTP = &spec.HTTPCheck{}
	}
	if c.Type == "https" && c.TLS == nil {
		c.TLS = &spec.TLS{}
	}
	w := &web{check: *c.HTTP}
	var err error
	if w.wire, err = newWire(c, t); err != nil {
		return nil, err
	}
	if c.TLS != nil && c.HTTP.Host != "" {
		w.wire.secure = newSecurity(*c.TLS, c.HTTP.Host)
	}
	if w.judge, err = answer.NewHTTP(*c.HTTP, c.Dynamic); err != nil {
		return nil, err
	}
	if w.request, err = answer.NewRequest(*c.HTTP, c.TLS != nil, w.wire.target); err != nil {
		return nil, err
	}
	return w.look, nil
}

func (w *web) look(ctx context.Context) (Outcome, error) {
	ask := w.ask
	if w.request.Version == "2" {
		ask = w.ask2
	}
	r := w.request
	for followed := 0; ; followed++ {
		resp, l, err := ask(ctx, r)
		if err != nil {
			return Outcome{}, err
		}
		location := resp.Header("Location")
		if w.check.Redirects == 0 || !answer.Redirects(resp.Status, location) {
			out := w.judge.Judge(resp)
			out.Message = l.note(out.Message)
			return out, nil
		}
		if followed == w.check.Redirects {
			return Outcome{}, fmt.Errorf("more than %d redirects", followed)
		}
		if r, err = r.Follow(resp.Status, location); err != nil {
			return Outcome{}, err
		}
	}
}

// ask makes one request in HTTP/1.
func (w *web) ask(ctx context.Context, r answer.Request) (answer.Response, line, error) {
	l, err := w.wire.open(ctx, "http/1.1")
	if err != nil {
		return answer.Response{}, line{}, err
	}
	defer func() { _ = l.Close() }() // the answer has been read
	if _, err := l.Write(r.Bytes()); err != nil {
		return answer.Response{}, line{}, err
	}
	resp, err := readResponse(l, r.Method)
	return resp, l, err
}

// maxInterim is how many provisional answers (RFC 9110, section 15.2) a server may give.
const maxInterim = 16

func readResponse(conn io.Reader, method string) (answer.Response, error) {
	bounded := &io.LimitedReader{R: conn, N: answer.MaxHeader}
	in := bufio.NewReaderSize(bounded, 2<<10)
	for range maxInterim {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		switch {
		case err != nil && bounded.N <= 0:
			return answer.Response{}, answer.ErrHead
		case errors.Is(err, io.ErrUnexpectedEOF) && bounded.N == answer.MaxHeader:
			return answer.Response{}, io.EOF // not one byte
		case err != nil:
			return answer.Response{}, err
		case resp.StatusCode >= 100 && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols:
			continue
		}
		bounded.N = math.MaxInt64 // the body's own bound is below, that of chunks is the connection's
		return collect(resp)
	}
	return answer.Response{}, errors.New("it goes on with provisional answers")
}

// collect reads as much of the body as may matter.
func collect(resp *http.Response) (answer.Response, error) {
	defer func() { _ = resp.Body.Close() }() // the connection goes with it
	body, err := io.ReadAll(io.LimitReader(resp.Body, answer.MaxBody+1))
	if err != nil {
		return answer.Response{}, err
	}
	out := answer.Response{Status: resp.StatusCode, Header: resp.Header.Get, Body: body}
	if len(body) > answer.MaxBody {
		out.Body, out.Cut = body[:answer.MaxBody], true
	}
	return out, nil
}
