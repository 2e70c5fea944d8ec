package channel

import (
	"context"
	"sync"
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

// Do sends one request, after connecting if need be.
func (k *Kept) Do(ctx context.Context, r Request) (Response, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
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
