package nstest

import "os"

// SoakEnv names the variable with which make soak asks for full counts.
const SoakEnv = "HARECONCILE_SOAK"

// Trials returns how often a test tries its luck: the second number where make soak runs it.
func Trials(usual, soak int) int {
	if os.Getenv(SoakEnv) != "" {
		return soak
	}
	return usual
}

// Histories returns how many histories a test of pure code lives through: as Trials says,
// but a tenth under the race detector, which makes each ten times as long. The Makefile runs
// such a test without it as well.
func Histories(usual, soak int) int {
	if raceEnabled && os.Getenv(SoakEnv) == "" {
		return max(1, usual/10)
	}
	return Trials(usual, soak)
}
