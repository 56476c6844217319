//go:build linux

package loader

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestChildAtExit: a child that is watched until its end behaves as any other, and
// its mappings can be read at the end.
func TestChildAtExit(t *testing.T) {
	for _, tc := range []struct {
		command, out string
		status       int
		signal       unix.Signal
		nudge        bool // it stops itself and wants SIGCONT
	}{
		{command: "/bin/true"},
		{command: "sh -c 'exit 7'", status: 7},
		{command: "sh -c 'trap \"echo got it\" USR1\nkill -USR1 $$\necho on'", out: "got it\non\n"},
		{command: "sh -c 'kill -TERM $$'", signal: unix.SIGTERM},
		{command: "sh -c 'echo x\nkill -STOP $$\necho goes on'", out: "goes on\n", nudge: true},
		{command: "sh -c '(sleep 0.05; echo later) & wait'", out: "later\n"},
	} {
		t.Run(tc.command, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			maps := make(chan []mapping, 10)
			c, err := startChild(tc.command, nil, w, os.Stderr, func(pid int) {
				m, _, err := readMaps(newLocal(nil, nil), pid)
				if err != nil {
					t.Error(err)
				}
				maps <- m
			})
			w.Close()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat("/proc/" + strconv.Itoa(c.pid)); err != nil {
				t.Fatal(err)
			}
			c.start()
			if tc.nudge {
				if _, err := io.ReadFull(r, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
				stopped := false
				for range 200 {
					if s, err := os.ReadFile("/proc/" + strconv.Itoa(c.pid) + "/stat"); err == nil && strings.Contains(string(s), ") t ") || err == nil && strings.Contains(string(s), ") T ") {
						stopped = true
						break
					}
					time.Sleep(5 * time.Millisecond)
				}
				if !stopped {
					t.Error("it does not stop")
				}
				time.Sleep(20 * time.Millisecond)
				if err := unix.Kill(c.pid, unix.SIGCONT); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case st := <-c.done:
				if st.Signaled() != (tc.signal != 0) || tc.signal != 0 && st.Signal() != tc.signal || tc.signal == 0 && st.ExitStatus() != tc.status {
					t.Errorf("status %#x", int(st))
				}
			case <-time.After(5 * time.Second):
				_ = c.process.Kill()
				t.Fatal("it does not end")
			}
			out, err := io.ReadAll(r)
			if err != nil || string(out) != tc.out {
				t.Errorf("output %q, %v", out, err)
			}
			select {
			case m := <-maps:
				if len(m) == 0 {
					t.Error("no mappings")
				}
			default:
				t.Error("nothing was called at the end")
			}
		})
	}
}
