//go:build linux

package loader

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestJudgements: what the broker is asked for by somebody who means ill.
func TestJudgements(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	text, program := write("text", "root:x:0"), write("program", "\x7fELF and so on")
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	victim := write("victim", "precious")
	if err := os.Symlink(victim, filepath.Join(dir, "out.1")); err != nil {
		t.Fatal(err)
	}
	l := newLocal(nil, nil)
	if err := l.setUp(setUp{Output: filepath.Join(dir, "out"), Own: []string{filepath.Join(dir, "own")}}); err != nil {
		t.Fatal(err)
	}
	if err := l.seal(); err != nil {
		t.Fatal(err)
	}
	if f, err := l.binary(program); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	for _, p := range []string{text, pipe, dir, "/dev/null", "/dev/mem", "program", filepath.Join(dir, "none")} {
		if f, err := l.binary(p); err == nil {
			f.Close()
			t.Errorf("%s is opened for its symbols", p)
		}
	}
	f, err := l.output(0)
	if err != nil || f.Name() != filepath.Join(dir, "out") {
		t.Fatalf("%v", err)
	}
	f.Close()
	if f, err := l.output(1); err == nil {
		f.Close()
		t.Error("an output file is opened through a link")
	}
	for _, n := range []int{-1} {
		if f, err := l.output(n); err == nil {
			f.Close()
			t.Errorf("output %d is opened", n)
		}
	}
	for _, p := range []string{victim, dir, filepath.Join(dir, "out.1"), filepath.Join(dir, "own", "..", "victim")} {
		if err := l.remove(p); err == nil {
			t.Errorf("%s is removed", p)
		}
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	if err := l.remove(filepath.Join(dir, "out")); err != nil {
		t.Error(err)
	}
	if err := l.setUp(setUp{System: true}); err == nil {
		t.Error("it is set up when the run has begun")
	}
	if err := l.system("echo x", os.Stdout, os.Stderr); err == nil {
		t.Error("a command is run")
	}
	if m, err := l.array(7); err == nil {
		m.Close()
		t.Error("a map is made that no script has")
	}
	if _, err := l.kernelLog(2); err == nil {
		t.Error("a log is opened that there is not")
	}
	if m, err := l.table(-5); err == nil {
		m.Close()
		t.Error("a table of -5 rows is made")
	}
}

// TestNoBroker: whenever it is noticed that the broker has ended, the message is the same.
func TestNoBroker(t *testing.T) {
	for name, when := range map[string]func(theirs int) error{
		"before a request": unix.Close,
		"before an answer": func(theirs int) error {
			go func() {
				var b [256]byte
				// The request is read, and never answered.
				_, _ = unix.Read(theirs, b[:])
				_ = unix.Close(theirs)
			}()
			return nil
		},
	} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := socketOf(os.NewFile(uintptr(pair[0]), "broker"))
		if err != nil {
			t.Fatal(err)
		}
		if err := when(pair[1]); err != nil {
			t.Fatal(err)
		}
		c := &client{conn: conn, gone: make(chan struct{}), waiting: map[uint64]chan answer{}}
		go c.read()
		if _, err := c.kernelSymbols(); err == nil || !strings.Contains(err.Error(), "[R403]") {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}
}

// FuzzRequest: no request makes the broker panic, or lets anything happen that was not set up.
func FuzzRequest(f *testing.F) {
	for _, q := range []request{
		{ID: 1, Op: opBinary, Text: "/bin/sh"}, {ID: 2, Op: opMappings, N: 1}, {ID: 3, Op: opSetUp, SetUp: &setUp{System: true, Mount: "/"}},
		{Op: opOutput, N: 3}, {Op: opRemove, Text: "/etc"}, {Op: opCommand, Text: "true"}, {Op: opStart}, {Op: opSystem, Text: "true"},
		{Op: opArray, N: -1}, {Op: opTaskStack, N: 1}, {Op: opPerfMap, N: 1}, {Op: opEnded, N: 3, Text: "x"}, {Op: "none"}, {Op: opSeen},
	} {
		b, err := json.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var q request
		if json.Unmarshal(data, &q) != nil {
			return
		}
		switch q.Op {
		case opTable, opPeek, opTiming, opTimed, opKernelLog:
			return // they do what they are asked, with nothing to judge but a number
		}
		b := &broker{local: newLocal(nil, nil), seen: make(chan struct{}, 1)}
		if err := b.local.seal(); err != nil {
			t.Fatal(err)
		}
		r, files := b.do(&q, nil)
		defer closeFiles(files)
		if b.local.may.System || b.local.may.Mount != "" || b.child != nil {
			t.Errorf("%s: it is set up when the run has begun", data)
		}
		switch q.Op {
		case opSetUp, opOutput, opRemove, opArray, opCommand, opSystem:
			if r.Error == "" {
				t.Errorf("%s is done", data)
			}
		case opBinary, opExecutable:
			if len(files) > 0 && !strings.HasPrefix(q.Text, "/") {
				t.Errorf("%s opens a file", data)
			}
		}
	})
}
