//go:build linux

package guest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// given is a file that the guests have from the start.
var given = File{Path: "/some/where/file", Mode: 0o640, Data: []byte("given\n")}

func TestGuest(t *testing.T) {
	for _, s := range Suites {
		t.Run(s.Kernel, func(t *testing.T) {
			t.Parallel()
			g := sharedSystem(t, s.Kernel)
			ctx := t.Context()
			sh := func(script string) Result {
				t.Helper()
				r, err := g.Run(ctx, Command{Args: []string{"sh", "-c", script}, Timeout: runLimit})
				if err != nil {
					t.Fatalf("%s: %v", script, err)
				}
				return r
			}
			is := func(got, want Result) {
				t.Helper()
				if got != want {
					t.Errorf("%+v, not %+v", got, want)
				}
			}
			is(sh("uname -r"), Result{Stdout: g.Kernel.Release + "\n"})
			is(sh("echo out; echo err >&2; exit 3"), Result{Stdout: "out\n", Stderr: "err\n", Code: 3})
			is(sh("kill -9 $$"), Result{Code: 137})
			is(sh("cat /some/where/file; stat -c %a /some/where/file"), Result{Stdout: "given\n640\n"})
			is(sh("grep -c ^overlay /proc/modules; ls /sys/kernel/btf/overlay"), Result{Stdout: "1\n/sys/kernel/btf/overlay\n"})
			is(sh("ping -c 1 -W 5 127.0.0.1 >/dev/null && echo up"), Result{Stdout: "up\n"})
			// Processes that nobody waits for do not stay.
			is(sh("(sleep 0.1 & ) ; sleep 0.5; cat /proc/[0-9]*/stat | grep -c ') Z '"), Result{Stdout: "0\n", Code: 1})

			r, err := g.Run(ctx, Command{Args: []string{"cat"}, Stdin: []byte("in"), Dir: "/"})
			if err != nil {
				t.Fatal(err)
			}
			is(r, Result{Stdout: "in"})
			r, err = g.Run(ctx, Command{Args: []string{"sleep", "60"}, Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			is(r, Result{Code: 130, TimedOut: true})
			if _, err := g.Run(ctx, Command{Args: []string{"no-such-program"}}); err == nil || !strings.Contains(err.Error(), "no-such-program") {
				t.Errorf("a program that is not there: %v", err)
			}

			// What computes for too long is told from what waits.
			limited, done := g.Within(ctx, 2*time.Second)
			if _, err := g.Run(limited, Command{Args: []string{"sh", "-c", "while :; do :; done"}, Timeout: 5 * time.Minute}); !errors.Is(err, ErrSlow) {
				t.Errorf("a loop: %v", err)
			}
			done()
			limited, done = g.Within(ctx, 20*time.Second)
			if r, err := g.Run(limited, Command{Args: []string{"sh", "-c", "kill -INT $(ps | grep '[d]o :' | awk '{ print $1 }'); sleep 3; echo waited"}}); err != nil || r.Stdout != "waited\n" {
				t.Errorf("%+v: %v", r, err)
			}
			done()

			// All bytes come through in both ways, many commands at once.
			data := make([]byte, 300_000)
			for i := range data {
				data[i] = byte(i * i >> 3)
			}
			if err := g.WriteFile(ctx, "/tmp/a/b", data, 0o600); err != nil {
				t.Fatal(err)
			}
			back, err := g.ReadFile(ctx, "/tmp/a/b")
			if err != nil || !bytes.Equal(back, data) {
				t.Errorf("%d bytes came back as %d others: %v", len(data), len(back), err)
			}
			if _, err := g.ReadFile(ctx, "/tmp/none"); err == nil {
				t.Error("a file that is not there was read")
			}
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					r, err := g.Run(ctx, Command{Args: []string{"sh", "-c", fmt.Sprintf("sleep 0.%d; echo %d", 8-i, i)}})
					if want := fmt.Sprintf("%d\n", i); err != nil || r.Stdout != want {
						t.Errorf("%q, not %q: %v", r.Stdout, want, err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestMissing(t *testing.T) {
	var absent *MissingError
	if _, err := Find("0.1"); !errors.As(err, &absent) {
		t.Errorf("a kernel that nobody has: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Emulator(); !errors.As(err, &absent) {
		t.Errorf("no emulator: %v", err)
	}
}
