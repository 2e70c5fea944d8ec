package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// A result is one failover.
type result struct{ failover, overshoot time.Duration }

// A table holds results by event and program.
type table struct {
	interval time.Duration
	rounds   int
	results  map[[2]string][]result
}

func newTable(interval time.Duration, rounds int) *table {
	return &table{interval, rounds, map[[2]string][]result{}}
}

func (t *table) add(event, program string, r result) {
	key := [2]string{event, program}
	t.results[key] = append(t.results[key], r)
}

// spread returns median, least and greatest of one measure, in milliseconds.
func (t *table) spread(event, program string, of func(result) time.Duration) (median, least, most float64) {
	var ms []float64
	for _, r := range t.results[[2]string{event, program}] {
		ms = append(ms, float64(of(r))/float64(time.Millisecond))
	}
	if len(ms) == 0 {
		return 0, 0, 0
	}
	slices.Sort(ms)
	return (ms[(len(ms)-1)/2] + ms[len(ms)/2]) / 2, ms[0], ms[len(ms)-1]
}

// print writes medians with their ranges, and ours as a share of keepalived's.
func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "\nadverts every %v, priorities %d and %d, %d rounds: median (least to most), ms\n",
		t.interval, masterPriority, backupPriority, t.rounds)
	fmt.Fprintf(w, "%-26s %-10s %26s %26s %7s\n", "event", "measure", programs[0], programs[1], "ratio")
	measures := []struct {
		name string
		of   func(result) time.Duration
	}{
		{"failover", func(r result) time.Duration { return r.failover }},
		{"overshoot", func(r result) time.Duration { return r.overshoot }},
	}
	for _, e := range events {
		for _, m := range measures {
			var cells [2]string
			var medians [2]float64
			for i, program := range programs {
				median, least, most := t.spread(e.name, program, m.of)
				cells[i], medians[i] = fmt.Sprintf("%.2f (%.2f to %.2f)", median, least, most), median
			}
			fmt.Fprintf(w, "%-26s %-10s %26s %26s %7.2f\n", e.name, m.name, cells[0], cells[1], medians[0]/medians[1])
		}
	}
}
