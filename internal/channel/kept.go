package channel

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
)

// A Kept is a connection that is made when it is needed and made again after it broke.
// vrrpd takes an open connection for the sign that the agent's word on trackers still holds.
type Kept struct {
	path string

	mu     sync.Mutex
	client *Client
}

// NewKept returns a Kept for vrrpd's socket; nothing is connected yet.
func NewKept(path string) *Kept { return &Kept{path: path} }

// Do sends one request, after connecting if need be. A connection that vrrpd has ended
// meanwhile, as it does when another program takes over, is no error: the request is sent
// again, which has the same effect for all that may be asked here.
func (k *Kept) Do(ctx context.Context, r Request) (Response, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	used := k.client != nil
	resp, err := k.once(ctx, r)
	if used && ended(err) && r.Upgrade == nil {
		resp, err = k.once(ctx, r)
	}
	return resp, err
}

func (k *Kept) once(ctx context.Context, r Request) (Response, error) {
	if k.client == nil {
		c, err := Dial(ctx, k.path)
		if err != nil {
			return Response{}, err
		}
		k.client = c
	}
	resp, err := k.client.Do(ctx, r)
	if err != nil && resp.Error == "" {
		_ = k.client.Close() // it is of no more use
		k.client = nil
	}
	return resp, err
}

// ended reports whether the other end closed the connection.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// Close ends the connection, if there is one.
func (k *Kept) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client == nil {
		return nil
	}
	err := k.client.Close()
	k.client = nil
	return err
}
