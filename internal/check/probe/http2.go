package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/hareconcile/hareconcile/internal/check/answer"
)

// ask2 makes one request in HTTP/2, over TLS or in the clear (RFC 9113, section 3.3).
func (w *web) ask2(ctx context.Context, r answer.Request) (answer.Response, line, error) {
	l, err := w.wire.open(ctx, "h2")
	if err != nil {
		return answer.Response{}, line{}, err
	}
	defer func() { _ = l.Close() }() // ends the transport's reader, whatever the server sends
	if l.state != nil && l.state.NegotiatedProtocol != "h2" {
		return answer.Response{}, line{}, errors.New("it does not speak HTTP/2")
	}
	var given atomic.Bool
	open := func(context.Context, string, string) (net.Conn, error) {
		if given.Swap(true) {
			return nil, errors.New("it wants to be asked again")
		}
		return l.Conn, nil
	}
	var protocols http.Protocols
	protocols.SetHTTP2(w.wire.secure != nil)
	protocols.SetUnencryptedHTTP2(w.wire.secure == nil)
	transport := &http.Transport{
		DialContext: open, DialTLSContext: open, Protocols: &protocols,
		DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: answer.MaxHeader,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: answer.MaxBody, MaxReceiveBufferPerConnection: answer.MaxBody},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.Scheme+"://"+w.wire.target.String()+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return answer.Response{}, line{}, err
	}
	req.Host = r.Host
	req.Header.Set("User-Agent", answer.UserAgent)
	for name, value := range r.Headers {
		req.Header.Set(name, value)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer.Response{}, line{}, err
	}
	out, err := collect(resp)
	return out, l, err
}
