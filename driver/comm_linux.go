package driver

import (
	"fmt"
	"os"
	"path/filepath"
)

// traceName is what execname() is in probes without a process of their own, and
// what the threads of the run are called, as in SystemTap: scripts leave the
// tracer out by execname() != "stapio".
const traceName = "stapio"

// rename names all threads of this process. Those to come inherit the name of the
// thread that starts them, so it is done when no thread with another name is left.
func rename(name string) error {
	for {
		threads, err := filepath.Glob("/proc/self/task/*/comm")
		if err != nil {
			return fmt.Errorf("naming the threads: %w", err)
		}
		changed := false
		for _, file := range threads {
			old, err := os.ReadFile(file)
			if err != nil || string(old) == name+"\n" {
				continue // a thread that has ended has no name to change
			}
			if err := os.WriteFile(file, []byte(name), 0); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("naming the threads: %w", err)
			}
			changed = true
		}
		if !changed {
			return nil
		}
	}
}
