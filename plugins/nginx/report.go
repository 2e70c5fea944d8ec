package main

import (
	"fmt"
	"strings"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// advisory are the parts that say nothing about whether this nginx serves now: a peer would
// be as full, and nginx -t also fails where a name does not resolve for a moment. What is
// wrong with them is a warning, and what they cannot tell does not matter.
var advisory = map[string]bool{"stub_status": true, "config_test": true, "cert": true, "drain": true}

// A report collects what one check saw.
type report struct {
	parts   []sdk.Part
	metrics map[string]float64
	facts   map[string]string
}

func newReport() *report {
	return &report{metrics: map[string]float64{}, facts: map[string]string{}}
}

func (r *report) add(p sdk.Part) { r.parts = append(r.parts, p) }

// part makes a Part.
func part(name string, s sdk.Status, code, format string, args ...any) sdk.Part {
	return sdk.Part{Name: name, Status: s, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// worst orders statuses by what they make of the whole.
var worst = []sdk.Status{sdk.Fail, sdk.Unknown, sdk.Warn}

// result makes the verdict of the parts: the worst of them, in the words of all that are
// as bad.
func (r *report) result() sdk.Result {
	out := sdk.Result{Status: sdk.Pass, Parts: r.parts, Metrics: r.metrics, Facts: r.facts}
	for k, p := range r.parts {
		if advisory[p.Name] && p.Status == sdk.Fail {
			r.parts[k].Status = sdk.Warn
		}
	}
	for _, s := range worst {
		var said []string
		for _, p := range r.parts {
			if p.Status != s || s == sdk.Unknown && advisory[p.Name] {
				continue
			}
			if out.Code == "" {
				out.Status, out.Code = s, p.Code
			}
			said = append(said, p.Detail)
		}
		if said != nil {
			out.Detail = strings.Join(said, "; ")
			return out
		}
	}
	var said []string
	for _, p := range r.parts {
		if p.Status == sdk.Pass {
			said = append(said, p.Detail)
		}
	}
	out.Detail = strings.Join(said, ", ")
	return out
}
