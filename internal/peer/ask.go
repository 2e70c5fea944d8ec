package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// client returns an HTTP client that talks to m alone.
func (n *Network) client(m Member) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:            (&net.Dialer{Timeout: askWait}).DialContext,
		TLSClientConfig:        expecting(n.cert, func(key string) bool { return key == m.Key }),
		TLSHandshakeTimeout:    askWait,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		MaxConnsPerHost:        1,
	}}
}

// get asks m how it is; known is the mark of what is known of it, or "".
func get(ctx context.Context, c *http.Client, m Member, known string) (posted, error) {
	u := url.URL{Scheme: "https", Host: m.Address.String(), Path: "/v1/status"}
	if known != "" {
		u.RawQuery = url.Values{"known": {known}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return posted{}, err
	}
	res, err := c.Do(req)
	if err != nil {
		return posted{}, fmt.Errorf("ask %s: %w", m.Name, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return posted{}, fmt.Errorf("ask %s: HTTP %s", m.Name, res.Status)
	}
	return decode(res.Body, m.Name)
}

// followOne tells of a member whenever it says something else, or cannot be heard.
func (n *Network) followOne(ctx context.Context, m Member) {
	c := n.client(m)
	defer c.CloseIdleConnections()
	known := ""
	for ctx.Err() == nil {
		p, err := n.once(ctx, c, m, known)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			known = ""
			n.cfg.Heard(m.Name, nil, err)
			pause(ctx, again)
		case p.Mark != known:
			known = p.Mark
			n.cfg.Heard(m.Name, &p.Message, nil)
		}
	}
}

func (n *Network) once(ctx context.Context, c *http.Client, m Member, known string) (posted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("no answer"))
	defer cancel()
	return get(ctx, c, m, known)
}

// Ask asks all other members at once how they are now, and returns what those that answer say.
func (n *Network) Ask(ctx context.Context) map[string]Message {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	_, others := n.members()
	out := map[string]Message{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range others {
		wg.Go(func() {
			c := n.client(m)
			defer c.CloseIdleConnections()
			p, err := get(ctx, c, m, "")
			if err != nil {
				return // whoever follows it says why
			}
			mu.Lock()
			defer mu.Unlock()
			out[m.Name] = p.Message
		})
	}
	wg.Wait()
	return out
}
