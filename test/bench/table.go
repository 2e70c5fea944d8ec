package main

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// A table holds samples by what was measured and of which program.
type table struct {
	title   string
	columns [2]string          // ours comes first
	goals   map[string]float64 // the most that the ratio should be, by what was measured
	rows    [][2]string        // what happened, what was measured, in the order of their first samples
	samples map[cell][]float64
}

type cell struct{ event, measure, program string }

func newTable(title string) *table {
	return &table{title: title, columns: programs, samples: map[cell][]float64{}}
}

func (t *table) add(event, measure, program string, value float64) {
	row := [2]string{event, measure}
	if !slices.Contains(t.rows, row) {
		t.rows = append(t.rows, row)
	}
	key := cell{event, measure, program}
	t.samples[key] = append(t.samples[key], value)
}

// median returns it and the text of median, least and most.
func (t *table) median(key cell) (median float64, text string) {
	v := slices.Sorted(slices.Values(t.samples[key]))
	if len(v) == 0 {
		return math.NaN(), "-"
	}
	median = (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	if v[0] == v[len(v)-1] {
		return median, fmt.Sprintf("%.4g", median)
	}
	return median, fmt.Sprintf("%.4g (%.4g to %.4g)", median, v[0], v[len(v)-1])
}

// print writes medians with their ranges, and ours as a share of the other.
func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", t.title)
	fmt.Fprintf(w, "  %-22s %-28s %28s %28s %7s\n", "", "", t.columns[0], t.columns[1], "ratio")
	event := ""
	for _, row := range t.rows {
		var texts [2]string
		var medians [2]float64
		for i, program := range t.columns {
			medians[i], texts[i] = t.median(cell{row[0], row[1], program})
		}
		ratio := "-"
		switch r := medians[0] / medians[1]; {
		case math.IsNaN(r):
		case math.IsInf(r, 0):
			ratio = "inf"
		default:
			ratio = fmt.Sprintf("%.2f", r)
			if r < 0.1 {
				ratio = fmt.Sprintf("%.4f", r)
			}
			if goal, ok := t.goals[row[1]]; ok {
				ratio += verdict(r, goal)
			}
		}
		name := row[0]
		if name == event {
			name = ""
		}
		event = row[0]
		fmt.Fprintf(w, "  %-22s %-28s %28s %28s %7s\n", name, row[1], texts[0], texts[1], ratio)
	}
}

// verdict says whether a ratio is as it should be.
func verdict(ratio, goal float64) string {
	if ratio <= goal {
		return fmt.Sprintf("  at most %.4g: met", goal)
	}
	return fmt.Sprintf("  at most %.4g: MISSED", goal)
}
