//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stapkit/cli"
	"stapkit/internal/host"
	"stapkit/internal/minikernel"
	"stapkit/internal/terminal"
)

// stapFolder has this program as stap, and beside it a file that only it has.
func stapFolder(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The name is short, so that lines with it are not broken.
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Symlink(exe, filepath.Join(dir, "stap")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "onlyone"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lastLine is the last line with something in it.
func lastLine(picture string) string {
	lines := strings.Split(strings.TrimRight(picture, " \n"), "\n")
	return strings.TrimRight(lines[len(lines)-1], " ")
}

// TestPrompt types at stap -i.
func TestPrompt(t *testing.T) {
	kernel := filepath.Join(t.TempDir(), "vmlinux")
	if err := minikernel.Write(kernel); err != nil {
		t.Fatal(err)
	}
	dir := stapFolder(t)
	env := []string{"env", "PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "XDG_STATE_HOME=", "STAPKIT_CACHE=" + filepath.Join(dir, "cache"), "LC_ALL=C.UTF-8", "NO_COLOR=1"}
	m := terminal.Open(t, 100, 40, append(env, "stap", "-i", "-r", kernel)...)
	last := func(want string) {
		t.Helper()
		m.See(want, func(p string) bool { return lastLine(p) == want })
	}
	last("stap>")

	// Completion: of commands, options, points, variables and files; what is left open.
	for _, c := range [][2]string{
		{"sam", "stap> sample"},
		{"set --suppress-h", "stap> set --suppress-handler-errors"},
		{`probe kernel.function("vfs_rea`, `stap> probe kernel.function("vfs_read`},
		{`probe kernel.function("vfs_read") { println($cou`, `stap> probe kernel.function("vfs_read") { println($count`},
		{"probe begin { println(gettimeofday_n", "stap> probe begin { println(gettimeofday_ns()"},
		{"load " + dir + "/only", "stap> load " + dir + "/onlyone"},
	} {
		m.Keys(c[0])
		last("stap> " + c[0])
		m.Keys("Tab")
		last(c[1])
		m.Keys("C-u")
		last("stap>")
	}

	// Lines that go on, an error, ^C and ^D in the middle, the keys of other terminals.
	m.Keys("global n # hits", "Enter")
	m.Keys("probe timer.ms(20) {", "Enter")
	last("  ...")
	m.Keys("n++", "Enter", "if (n > 2) { println(n * 1111) exit() } }", "Enter")
	last("stap>")
	m.Keys("probe begin { nosuch() }", "Enter")
	m.See("the error", terminal.Has("unresolved function nosuch", "[E1101]"))
	m.Keys("probe begin {", "Enter")
	last("  ...")
	m.Keys("C-c")
	last("stap>")
	m.Keys("1 +", "Enter")
	last("  ...")
	m.Keys("C-d")
	m.See("what is not complete", terminal.Has("not complete: 1 +"))
	last("stap>")
	m.Keys("elete 9", "Home", "d", "Enter")
	m.See("the refusal", terminal.Has("delete 9: give numbers of the list"))
	m.Keys("C-l")
	m.Keys("list", "Enter")
	m.See("the list", terminal.Has("1  global n # hits", "2  probe timer.ms(20) {\n     n++\n"))
	m.Keys("if (n", "C-r")
	last("stap> if (n > 2) { println(n * 1111) exit() } }")
	m.Keys("C-u")

	// Pasted tabs are no completion.
	m.Tmux("set-buffer", "probe\ttimer.ms(500) {\n\tprintln(4242)\n}\n")
	m.Tmux("paste-buffer", "-p")
	m.Keys("list", "Enter")
	m.See("what was pasted", terminal.Has("  3  probe", "println(4242)"))
	m.Tmux("resize-window", "-x", "70", "-y", "40")
	m.Keys("quit", "Enter")
	m.Ended()

	if why := host.BPF(); why != "" {
		t.Skip(why)
	}
	// The next session knows the lines; a run is ended by ^C, the prompt goes on.
	m = terminal.Open(t, 100, 40, append(env, "stap", "-i")...)
	last("stap>")
	m.Keys("Up", "Up")
	last("stap> list")
	m.Keys("C-u")
	m.Keys("probe begin { println(11 * 3) }", "Enter")
	m.Keys("run", "Enter")
	m.See("the run", func(p string) bool { return lastLine(p) == "33" })
	m.Keys("C-c")
	last("stap>")
	m.Keys("6 * 7", "Enter")
	m.See("the result", terminal.Has("\n42\nstap>"))
	m.Keys("C-d")
	m.Ended()
}

// TestCompletionKeys presses Tab in each shell that is there.
func TestCompletionKeys(t *testing.T) {
	dir := stapFolder(t)
	for _, shell := range cli.Shells {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("%s is not installed", shell)
			}
			var b strings.Builder
			if err := cli.WriteCompletions(&b, shell); err != nil {
				t.Fatal(err)
			}
			home, err := os.MkdirTemp("", "stapkit-shell")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				// A shell that is ended may still write what it keeps.
				for range 50 {
					if os.RemoveAll(home) == nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
			write := func(name, text string) string {
				file := filepath.Join(home, name)
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				return file
			}
			completions := write("_stapkit", b.String())
			var command []string
			switch shell {
			case "bash":
				command = []string{path, "--noprofile", "--rcfile", write("rc", "source "+completions+"\nPS1='% '\nbind 'set enable-bracketed-paste off'\n")}
			case "zsh":
				write(".zshrc", "fpath=("+home+" $fpath)\nautoload -Uz compinit\ncompinit -D -u\nPS1='%% '\n")
				command = []string{path, "-d"}
			case "fish":
				// Or else it makes completions of all manual pages, in the background.
				if err := os.MkdirAll(filepath.Join(home, "fish", "generated_completions"), 0o755); err != nil {
					t.Fatal(err)
				}
				command = []string{path, "-C", "function fish_prompt; printf '%% '; end; function fish_greeting; end; source " + completions}
			}
			env := []string{"env", "PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + home, "ZDOTDIR=" + home, "XDG_CONFIG_HOME=" + home, "XDG_DATA_HOME=" + home,
				"STAPKIT_CACHE=" + filepath.Join(dir, "cache"), "LC_ALL=C.UTF-8"}
			m := terminal.Open(t, 160, 30, append(env, command...)...)
			for _, c := range []struct{ typed, want string }{
				{"stap --clean", "stap --clean-cache"},
				{"stap --privilege=staps", "stap --privilege=stapsys"},
				{"stap -l timer.prof", "stap -l timer.profile"},
				{"stap --list=timer.prof", "stap --list=timer.profile"},
				{`stap -l 'process("` + dir + `/onlyo`, `stap -l 'process("` + dir + `/onlyone`},
				{`stap -L process\(\"` + dir + `/onlyo`, `stap -L process\(\"` + dir + `/onlyone`},
				{"stapc sig", "stapc sign"},
			} {
				m.Press("the prompt", func(p string) bool { return lastLine(p) == "%" }, "C-u")
				m.Keys("-l", c.typed)
				m.See("what is typed", func(p string) bool { return strings.HasPrefix(lastLine(p), "% "+c.typed) })
				m.Keys("Tab")
				m.See(c.want, func(p string) bool {
					return strings.HasPrefix(lastLine(p), "% "+c.want)
				})
			}
		})
	}
}
