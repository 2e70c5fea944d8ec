package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// part returns what a stream of that name shows of the status.
func (s *server) part(name string) (func() any, bool) {
	switch name {
	case "", "status":
		return func() any { return s.b.Status() }, true
	case "progress":
		return func() any {
			if p := s.b.Status().Progress; p != nil {
				return p
			}
			return Progress{}
		}, true
	case "drains":
		return func() any { return DrainResult{s.drains()} }, true
	}
	return nil, false
}

// drains returns the status's drains as a list that is never null.
func (s *server) drains() []Drain { return append([]Drain{}, s.b.Status().Drains...) }

// events writes a part of the status now and after every change of it; a slow reader skips some.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("of")
	part, ok := s.part(name)
	if !ok {
		refuse(w, &APIError{"invalid", fmt.Sprintf("there are no events of %q", name)})
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		refuse(w, &APIError{"not_ready", fmt.Sprintf("%d clients follow the events already", maxStreams)})
		return
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	var last []byte
	for {
		changed := s.b.Changed()
		b, err := json.Marshal(part())
		if err != nil {
			return
		}
		if !bytes.Equal(b, last) {
			last = b
			if rc.SetWriteDeadline(time.Now().Add(writeWait)) != nil {
				return
			}
			if _, err := w.Write(append(b, '\n')); err != nil || rc.Flush() != nil {
				return
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}
