package main

import (
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/pluginhost"
)

// trackerReports says for the status what the plugins said.
func trackerReports(in map[string]pluginhost.Report) map[string]control.Report {
	out := make(map[string]control.Report, len(in))
	for name, r := range in {
		c := control.Report{
			Status: r.Status, Code: r.Code, Detail: r.Detail, At: r.At, Metrics: r.Metrics, Facts: r.Facts, Note: r.Note,
		}
		for _, p := range r.Parts {
			c.Parts = append(c.Parts, control.Part(p))
		}
		out[name] = c
	}
	return out
}
