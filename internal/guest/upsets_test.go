//go:build linux

package guest

import "testing"

// upsets has happen to the machine, while a script runs, what happens to machines: a processor
// goes and comes back, the clock is set forth and back. Nothing is lost, timers do not
// notice, the time of day follows.
func (s *compiler) upsets(t *testing.T) {
	t.Run("upsets", func(t *testing.T) {
		(&script{
			Name: "upsets",
			Text: `global n, ticks, samples, first
probe begin { first = gettimeofday_s() }
probe syscall.getppid { if (pid() == target()) n++ }
probe timer.profile { samples++ }
probe timer.ms(50) { ticks++ }
probe end { printf("%d calls, timer %d, samples %d, clock %d\n", n, ticks >= 5, samples > 0, gettimeofday_s() - first < -3000) }`,
			Command: "getppid 1000 cpu 1 0 getppid 1000 cpu 1 1 getppid 1000 clock 1 3600 getppid 1000 clock 1 -7200 getppid 1000 sleep 1 1500",
			Want:    "5000 calls, timer 1, samples 1, clock 1\n",
		}).run(t, s)
	})
}
