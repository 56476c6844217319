package terminal

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long something may take to be seen. Machines of tests are slow.
const patience = time.Minute

// A Terminal is what tmux has of a command's terminal, for tests.
type Terminal struct {
	t       testing.TB
	server  string
	Picture string // as it was seen last
}

var opened atomic.Int64

// Open runs a command in a terminal of some columns and rows, or skips the test where
// there is no tmux.
func Open(t testing.TB, columns, rows int, command ...string) *Terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("needs tmux")
	}
	m := &Terminal{t: t, server: fmt.Sprintf("stapkit-%d-%d", os.Getpid(), opened.Add(1))}
	m.Tmux(append([]string{"new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows)}, command...)...)
	t.Cleanup(func() { _ = exec.Command("tmux", "-L", m.server, "kill-server").Run() })
	return m
}

// Tmux runs a command of tmux's on the terminal.
func (m *Terminal) Tmux(args ...string) string {
	m.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-L", m.server, "-f", "/dev/null"}, args...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

// Keys presses keys, in tmux's names; other words are typed.
func (m *Terminal) Keys(keys ...string) {
	m.t.Helper()
	m.Tmux(append([]string{"send-keys"}, keys...)...)
}

// See waits until the picture is as it is to be.
func (m *Terminal) See(what string, ok func(picture string) bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if m.Picture = m.Tmux("capture-pane", "-p"); ok(m.Picture) {
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("%s is not seen in\n%s", what, m.Picture)
		}
	}
}

// Press presses keys, and again each second, until the picture is as it is to be: what
// changes the terminal's mode may lose keys.
func (m *Terminal) Press(what string, ok func(picture string) bool, keys ...string) {
	m.t.Helper()
	for end := time.Now().Add(patience); ; {
		m.Keys(keys...)
		for again := time.Now().Add(time.Second); time.Now().Before(again); time.Sleep(50 * time.Millisecond) {
			if m.Picture = m.Tmux("capture-pane", "-p"); ok(m.Picture) {
				return
			}
		}
		if time.Now().After(end) {
			m.t.Fatalf("%s is not seen in\n%s", what, m.Picture)
		}
	}
}

// Ended waits until the command has ended.
func (m *Terminal) Ended() {
	m.t.Helper()
	for end := time.Now().Add(patience); exec.Command("tmux", "-L", m.server, "has-session").Run() == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatal("it does not end")
		}
	}
}

// Has is a picture that has all parts.
func Has(parts ...string) func(string) bool {
	return func(p string) bool {
		for _, x := range parts {
			if !strings.Contains(p, x) {
				return false
			}
		}
		return true
	}
}
