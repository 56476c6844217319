//go:build linux

package sema

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"stapkit/diag"
	"stapkit/target/elf"
)

// TestEveryFamily instantiates every built-in form: each resolves to carriers, all
// with a reason, or is refused with the nearest thing that works.
func TestEveryFamily(t *testing.T) {
	opt, d := debugKernel(t)
	// Programs are those of this machine.
	opt.Binaries = &Binaries{Search: elf.Search{Debug: []string{filepath.Join(d.Root, "usr/lib/debug")}}}
	defer func() {
		if err := opt.Binaries.Close(); err != nil {
			t.Error(err)
		}
	}()
	opt.Guru = true
	bin := program(t)
	opt.Command = bin
	resolved, refused := 0, 0
	for _, p := range patterns() {
		parts := strings.Split(p.text, ".")
		user := strings.HasPrefix(p.text, "process")
		for i, part := range parts {
			name, kind, ok := strings.Cut(part, "(")
			if !ok {
				continue
			}
			arg := map[string]string{
				"module": `"overlay"`, "trace": `"sched_switch"`, "tracepoint": `"sched_switch"`, "syscall": `"openat"`,
				"label": `"*"`, "callee": `"*"`, "library": `"libc.so.6"`, "plt": `"*"`, "mark": `"*"`, "provider": `"*"`,
				"process": fmt.Sprintf("%q", bin), "counter": `"c"`, "hook": `"NF_INET_LOCAL_IN"`, "pf": `"PF_INET"`, "priority": `"0"`,
				"procfs": `"x"`, "data": `"jiffies"`, "path": `"x"`,
			}[name]
			switch {
			case name == "function" && strings.Contains(p.text, "library"):
				arg = `"malloc"`
			case name == "function" && user:
				arg = `"foo"`
			case name == "function" && strings.Contains(p.text, "module(string)"):
				arg = `"ovl_open"`
			case name == "function":
				arg = `"vfs_read"`
			case name == "statement" && user:
				arg = `"foo@*ut.c:*"`
			case name == "statement" && strings.Contains(p.text, "module(string)"):
				arg = `"ovl_open@*file.c:*"`
			case name == "statement":
				arg = `"vfs_read@fs/read_write.c:*"`
			}
			if strings.HasPrefix(kind, "number") {
				arg = "1000"
				switch name {
				case "process":
					arg = strconv.Itoa(os.Getpid())
				case "callees", "maxactive":
					arg = "2"
				case "randomize":
					arg = "10"
				case "length":
					arg = "4"
				case "begin", "end", "error", "umask":
					arg = "1"
				case "type", "config":
					arg = "0"
				case "ns", "nsec":
					arg = "200000"
				}
			}
			if arg == "" {
				arg = `"x"`
			}
			parts[i] = name + "(" + arg + ")"
		}
		point := strings.Join(parts, ".")
		if strings.Contains(p.text, "process(number)") { // the test's own program
			point = strings.NewReplacer(`"foo"`, `"main.main"`, "foo@*ut.c:*", "main.main@*_testmain.go:*").Replace(point)
		}
		if strings.Contains(p.text, "(number)") && user {
			// An address of code.
			f := opt.Binaries.file(bin)
			if strings.Contains(p.text, "process(number)") {
				self, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				f = opt.Binaries.file(self)
			}
			for _, name := range []string{"foo", "main.main"} {
				if list, err := f.elf.Lookup(name); err == nil && len(list) > 0 {
					point = strings.NewReplacer("function(1000)", fmt.Sprintf("function(%d)", list[0].Addr), "statement(1000)", fmt.Sprintf("statement(%d)", list[0].Addr)).Replace(point)
				}
			}
		}
		pr := elaborate(t, "probe "+point+` { println("x") }`, opt)
		if diag.HasErrors(pr.Diags) {
			refused++
			for _, d := range pr.Diags {
				if d.Code == codeNoProbes && strings.Contains(p.text, "counter") {
					continue // a counter without anything that reads it
				}
				if d.Severity == diag.Error && d.Help == "" && !strings.Contains(d.Message, "similar") {
					t.Errorf("%s is refused, and nothing says what to do:\n%s", point, show(pr.Diags))
				}
			}
			continue
		}
		resolved++
		for _, q := range pr.Probes {
			if q.InLoader() {
				continue
			}
			if len(q.Carriers) == 0 {
				t.Errorf("%s: %s has no carrier", point, q.Point)
			}
			for _, c := range q.Carriers {
				if c.Kind == "" || c.Reason == "" {
					t.Errorf("%s: %s: a carrier without a reason: %+v", point, q.Point, c)
				}
			}
		}
	}
	t.Logf("%d forms resolve, %d are refused", resolved, refused)
	if resolved < 180 {
		t.Errorf("only %d forms resolve", resolved)
	}
}
