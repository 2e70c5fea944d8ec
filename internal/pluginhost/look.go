package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hareconcile/hareconcile/internal/rota"
	"github.com/hareconcile/hareconcile/internal/spec"
	pluginv1 "github.com/hareconcile/hareconcile/plugins/proto/hareconcile/plugin/v1"
)

// look makes one check of each of ts, which have one plugin and one timeout.
func (h *Host) look(ctx context.Context, ts []spec.Tracker, say func([]rota.Answer)) {
	h.mu.Lock()
	s := h.plugins[ts[0].Plugin]
	h.mu.Unlock()
	tell := func(rs map[int]Report) {
		out := make([]rota.Answer, 0, len(rs))
		for place, r := range rs {
			out = append(out, rota.Answer{Place: place, State: r.state(), Message: r.Detail})
		}
		say(out)
	}
	if s == nil {
		tell(alike(len(ts), silent("plugin "+ts[0].Plugin+" is not started")))
		return
	}
	limited, cancel := context.WithTimeout(ctx, ts[0].Timeout)
	defer cancel()
	s.check(limited, ts, func(rs map[int]Report) {
		if ctx.Err() == nil { // else nobody asks any more
			h.record(ts, rs)
		}
		tell(rs)
	})
}

// checkAll makes one check of each of ts, in one call as far as the plugin serves that, and
// says what came of each, from one goroutine.
func (s *session) checkAll(ctx context.Context, ts []spec.Tracker, say func(map[int]Report)) {
	alone := make([]int, len(ts))
	for place := range ts {
		alone[place] = place
	}
	if s.asksAll && len(ts) > 1 {
		alone = s.askAll(ctx, ts, say)
	}
	reports := make(chan map[int]Report)
	var asking sync.WaitGroup
	for _, place := range alone {
		asking.Go(func() { reports <- map[int]Report{place: s.check(ctx, ts[place])} })
	}
	go func() { asking.Wait(); close(reports) }()
	for rs := range reports {
		say(rs)
	}
}

// askAll asks of all that are configured in one call, and returns the places of those that
// have to be asked alone: they are not configured yet, were not answered, or something was
// pushed about them after the question.
func (s *session) askAll(ctx context.Context, ts []spec.Tracker, say func(map[int]Report)) (alone []int) {
	q := &pluginv1.CheckAllRequest{}
	var asked []int // places by those in q
	before := map[int]int{}
	for place, t := range ts {
		if id := s.ready(t); id != "" {
			q.Instances, asked = append(q.Instances, id), append(asked, place)
			before[place] = s.pushed(t.Name)
		} else {
			alone = append(alone, place)
		}
	}
	if len(asked) == 0 {
		return alone
	}
	err := s.hear(ctx, q, func(answers []*pluginv1.Answer) {
		rs := map[int]Report{}
		for _, a := range answers {
			if int(a.Place) >= len(asked) || asked[a.Place] < 0 {
				continue // nobody has asked, or it has answered
			}
			place := asked[a.Place]
			asked[a.Place] = -1
			if a.Response == nil || proto.Size(a.Response) > maxAnswer || s.pushed(ts[place].Name) != before[place] {
				alone = append(alone, place)
				continue
			}
			rs[place] = reported(a.Response, s.secrets)
		}
		say(rs)
	})
	switch status.Code(err) {
	case codes.DeadlineExceeded, codes.Unavailable, codes.Canceled:
		rs := map[int]Report{}
		for _, place := range asked {
			if place >= 0 {
				rs[place] = silent(fmt.Sprintf("plugin %s: %s", ts[place].Plugin, s.said(err)))
			}
		}
		say(rs)
		return alone
	}
	for _, place := range asked { // one answer that is wrong must not cost the others
		if place >= 0 {
			alone = append(alone, place)
		}
	}
	return alone
}

// hear makes the call. A plugin has one message for each question at most.
func (s *session) hear(ctx context.Context, q *pluginv1.CheckAllRequest, say func([]*pluginv1.Answer)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := pluginv1.NewTrackClient(s.conn).CheckAll(ctx, q)
	for range len(q.Instances) + 1 {
		var m *pluginv1.CheckAllResponse
		if err == nil {
			m, err = in.Recv()
		}
		if errors.Is(err, io.EOF) {
			err = nil
			break
		}
		if err != nil {
			break
		}
		s.heard(nil)
		say(m.Answers)
	}
	s.heard(err)
	return err
}

// ready returns the instance of a tracker that is configured as it should be, or "".
func (s *session) ready(t spec.Tracker) string {
	id, _, err := s.wanted(t)
	if err != nil || s.configured(t.Name) != id {
		return ""
	}
	return id
}
