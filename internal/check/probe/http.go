package probe

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// newHTTP asks over a new connection and judges the answer.
func newHTTP(c spec.Check, t Target) (look, error) {
	judge, err := answer.NewHTTP(*c.HTTP, c.Dynamic)
	if err != nil {
		return nil, err
	}
	request, err := answer.NewRequest(*c.HTTP, c.Type == "https" || c.TLS != nil, t.Asked(c))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:            (&net.Dialer{}).DialContext,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: answer.MaxHeader,
	}
	return func(ctx context.Context) (Outcome, error) {
		req, err := http.NewRequestWithContext(ctx, request.Method, request.Scheme+"://"+t.Asked(c).String()+request.Path, nil)
		if err != nil {
			return Outcome{}, err
		}
		req.Host = request.Host
		req.Header.Set("User-Agent", answer.UserAgent)
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return Outcome{}, err
		}
		defer func() { _ = resp.Body.Close() }() // the connection goes with it
		var body bytes.Buffer
		n, err := io.Copy(&body, io.LimitReader(resp.Body, answer.MaxBody+1))
		if err != nil {
			return Outcome{}, err
		}
		return judge.Judge(answer.Response{
			Status: resp.StatusCode, Header: resp.Header.Get,
			Body: body.Bytes()[:min(n, answer.MaxBody)], Cut: n > answer.MaxBody,
		}), nil
	}, nil
}
