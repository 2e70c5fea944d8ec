//go:build race

package jail

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// raceEnabled tells that the race detector's shadow memory, terabytes of address space,
// makes RLIMIT_DATA unusable.
const raceEnabled = true

// watchMemory stands in for RLIMIT_DATA, and dies as the runtime would.
func watchMemory(limit uint64) {
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapInuse+m.StackInuse > limit {
				fmt.Fprintln(os.Stderr, "fatal error: runtime: out of memory")
				os.Exit(2)
			}
		}
	}()
}
