package channel

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// UpgradeVRRPD makes vrrpd go on as the program on disk, and returns what that says of
// itself. vrrpd's consent is the end of the connection: the new program has no old ones.
func UpgradeVRRPD(ctx context.Context, path string) (*Status, error) {
	before, err := ask(ctx, path, Request{Query: &Query{}})
	if err != nil {
		return nil, err
	}
	refusal, err := ask(ctx, path, Request{Upgrade: &Upgrade{}})
	switch {
	case err == nil || before.Status == nil:
		return nil, errors.New("upgrade vrrpd: not an answer to that")
	case refusal.Error != "" || ctx.Err() != nil:
		return nil, err
	}
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		after, err := ask(ctx, path, Request{Query: &Query{}})
		switch {
		case err == nil && after.Status != nil && after.Status.Upgrades > before.Status.Upgrades:
			return after.Status, nil
		case err == nil:
			return nil, errors.New("upgrade vrrpd: it started anew, or still is the old program")
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("upgrade vrrpd: wait for the new program: %w", err)
		case <-time.After(wait):
		}
	}
}

// ask sends one request over a connection of its own.
func ask(ctx context.Context, path string, r Request) (Response, error) {
	c, err := Dial(ctx, path)
	if err != nil {
		return Response{}, err
	}
	defer c.Close()
	return c.Do(ctx, r)
}
