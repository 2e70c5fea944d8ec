//go:build !race

package nstest

const raceEnabled = false
