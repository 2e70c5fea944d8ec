package pluginhost

import (
	"slices"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	b := timing{again: time.Second, againLimit: 10 * time.Second}.backoff()
	var got []int
	for _, lived := range []int{0, 0, 0, 0, 0, 0, 19, 20, 1, 3, 4, 3600} {
		got = append(got, int(b.after(time.Duration(lived)*time.Second).Seconds()))
	}
	if want := []int{1, 2, 4, 8, 10, 10, 10, 1, 2, 4, 8, 1}; !slices.Equal(got, want) {
		t.Errorf("waits = %v s, want %v", got, want)
	}
}
