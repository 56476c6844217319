//go:build linux

// Command walk goes through the README on a fresh machine, a Debian of which nothing is
// installed but what the README asks for, and records what a person sees: as text,
// docs/walk.md, and for asciinema, docs/walk.cast. "make walk" runs it; it needs root,
// debootstrap, the network, and a kernel that takes BPF programs.
//
// The machine is a folder to change the root to, so its kernel is the one here. The host
// of the second part is another one, with nothing but staprun and a shell.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/yuin/goldmark/ast"

	"stapkit/internal/manual"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("walk: ")
	out := flag.String("out", "docs", "the `DIR` to write walk.md and walk.cast into")
	wrap := flag.String("wrap", "", "a `COMMAND` in front of those that run scripts")
	flag.Parse()
	if err := run(*out, strings.Fields(*wrap)); err != nil {
		log.Fatal(err)
	}
}

// A block is what the README has to type, and the heading above it.
type block struct{ heading, text string }

// blocks are those of the README up to its list of documents.
func blocks(readme []byte) (out []block, err error) {
	heading := ""
	err = ast.Walk(manual.Parse(readme), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			heading = string(n.Lines().Value(readme))
		case *ast.CodeBlock:
			out = append(out, block{heading, strings.TrimSpace(string(n.Lines().Value(readme)))})
		}
		return ast.WalkContinue, nil
	})
	return out, err
}

func run(out string, wrap []string) error {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		return err
	}
	list, err := blocks(readme)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "walk")
	if err != nil {
		return err
	}
	r := &recorder{wrap: wrap}
	defer func() {
		if err := r.remove(work); err != nil {
			log.Fatal(err)
		}
	}()
	dev := filepath.Join(work, "dev")
	if err := r.fresh(dev); err != nil {
		return err
	}
	host := filepath.Join(work, "host")
	r.start = time.Now()
	for _, b := range list {
		switch {
		case strings.Contains(b.text, "make test"):
			// It is a matter of a quarter of an hour, and of who changes the sources.
			r.note("`make test` is left out: it is for who changes the sources.")
		case strings.Contains(b.text, "/etc/stapkit"):
			if err := r.bareHost(host, dev); err != nil {
				return err
			}
			r.note("On the production host, which has a shell, `staprun`, the bundle and the public key:")
			if err := r.enter(host, "/root", b.text); err != nil {
				return err
			}
		default:
			r.note(strings.TrimSuffix(b.heading, ":") + ":")
			if err := r.enter(dev, "/root/stapkit", b.text); err != nil {
				return err
			}
		}
	}
	return r.write(out)
}

// recorder types commands and keeps what is seen.
type recorder struct {
	wrap   []string
	start  time.Time
	cast   bytes.Buffer
	text   bytes.Buffer
	mounts []string
}

// at is the time since the start.
func (r *recorder) at() time.Duration { return time.Since(r.start) }

// show adds to the recording for asciinema.
func (r *recorder) show(s string) {
	line, err := json.Marshal([]any{float64(r.at().Milliseconds()) / 1000, "o", strings.ReplaceAll(s, "\n", "\r\n")})
	if err != nil {
		log.Fatal(err) // of a number and a string
	}
	r.cast.Write(append(line, '\n'))
}

func (r *recorder) note(s string) {
	fmt.Fprintf(&r.text, "\n%s\n", s)
	r.show("\n# " + strings.NewReplacer("`", "").Replace(s) + "\n")
}

// runs tells commands that load programs into the kernel.
var runs = regexp.MustCompile(`\./cmd/stap |^stap |^staprun \w`)

// most lines of a command's output are in the text.
const most = 24

// enter runs a block line by line in one folder.
func (r *recorder) enter(root, dir, text string) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		began := r.at()
		r.show("$ " + line + "\n")
		args := []string{"chroot", root, "/usr/bin/env", "-i", "HOME=/root", "TERM=dumb", "LC_ALL=C.UTF-8",
			"PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/bin/sh", "-c", "cd " + dir + " && " + line}
		if runs.MatchString(line) && len(r.wrap) > 0 {
			args = append(append([]string{}, r.wrap...), args...)
		}
		var out bytes.Buffer
		cmd := exec.Command(args[0], args[1:]...)
		// Who is asked something presses Enter.
		cmd.Stdin = strings.NewReader(strings.Repeat("\n", 8))
		seen := writerFunc(func(p []byte) (int, error) {
			os.Stderr.Write(p)
			r.show(string(p))
			return out.Write(p)
		})
		cmd.Stdout, cmd.Stderr = seen, seen
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w\n%s", line, err, out.Bytes())
		}
		lines := strings.SplitAfter(strings.TrimRight(out.String(), "\n"), "\n")
		if n := len(lines); n > most {
			lines = append(append(lines[:most/2:most/2], fmt.Sprintf("… %d lines …\n", n-most)), lines[n-most/2:]...)
		}
		took := ""
		if d := r.at() - began; d > time.Second {
			took = fmt.Sprintf("   # %.0f s", d.Seconds())
		}
		fmt.Fprintf(&r.text, "\n    $ %s%s\n", line, took)
		for _, l := range lines {
			if l = strings.TrimRight(l, "\r\n"); l != "" {
				fmt.Fprintf(&r.text, "    %s\n", l)
			}
		}
	}
	return nil
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// fresh makes the machine: a minimal Debian with what the README asks for, Go and make,
// and what every machine has that reaches the network, with the sources.
func (r *recorder) fresh(root string) error {
	if err := quiet("debootstrap", "--variant=minbase", "--include=ca-certificates,make,git,openssh-client,busybox-static", "bookworm", root); err != nil {
		return err
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	for _, m := range [][]string{
		{"-t", "proc", "proc", "proc"}, {"-t", "sysfs", "sysfs", "sys"}, {"--rbind", "/sys/kernel", "sys/kernel"}, {"--rbind", "/dev", "dev"},
		{"--bind", strings.TrimSpace(string(goroot)), "usr/local/go"},
	} {
		if err := r.mount(root, m); err != nil {
			return err
		}
	}
	// The way to the network is that of this machine.
	for _, f := range []string{"/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"} {
		b, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, f), b, 0o644); err != nil {
			return err
		}
	}
	src := filepath.Join(root, "root", "stapkit")
	if err := os.MkdirAll(src, 0o755); err != nil {
		return err
	}
	archive := exec.Command("git", "archive", "HEAD")
	unpack := exec.Command("tar", "-x", "-C", src)
	pipe, err := archive.StdoutPipe()
	if err != nil {
		return err
	}
	unpack.Stdin = pipe
	if err := archive.Start(); err != nil {
		return err
	}
	return errors.Join(unpack.Run(), archive.Wait())
}

// bareHost makes the host: a shell, staprun, and what was carried there.
func (r *recorder) bareHost(root, dev string) error {
	for from, to := range map[string]string{
		"bin/busybox": "bin/sh", "root/stapkit/bin/staprun": "usr/bin/staprun",
		"root/stapkit/switches.o": "root/switches.o", "root/stapkit/key.pub": "root/key.pub",
	} {
		if err := copyFile(filepath.Join(dev, from), filepath.Join(root, to)); err != nil {
			return err
		}
	}
	for _, applet := range []string{"bin/mkdir", "bin/cat", "bin/echo", "usr/bin/env"} {
		p := filepath.Join(root, applet)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("/bin/sh", p); err != nil {
			return err
		}
	}
	for _, m := range [][]string{{"-t", "proc", "proc", "proc"}, {"-t", "sysfs", "sysfs", "sys"}, {"--rbind", "/sys/kernel", "sys/kernel"}, {"--rbind", "/dev", "dev"}} {
		if err := r.mount(root, m); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// mount mounts below a root; the last argument is the folder there.
func (r *recorder) mount(root string, args []string) error {
	dir := filepath.Join(root, args[len(args)-1])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := quiet("mount", append(append([]string{}, args[:len(args)-1]...), dir)...); err != nil {
		return err
	}
	r.mounts = append(r.mounts, dir)
	if args[0] == "--rbind" {
		return quiet("mount", "--make-rslave", dir)
	}
	return nil
}

// remove takes all mounts down, last ones first, and removes the folder; not while
// something of this machine is still mounted in it.
func (r *recorder) remove(work string) error {
	for i := len(r.mounts) - 1; i >= 0; i-- {
		if err := quiet("umount", "--recursive", "--lazy", r.mounts[i]); err != nil {
			return err
		}
	}
	list, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if bytes.Contains(list, []byte(" "+work+"/")) {
		return fmt.Errorf("something is still mounted below %s", work)
	}
	return os.RemoveAll(work)
}

func quiet(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// write writes both documents.
func (r *recorder) write(dir string) error {
	head, err := json.Marshal(map[string]any{"version": 2, "width": 110, "height": 30, "title": "stapkit: the README on a fresh machine"})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "walk.cast"), append(append(head, '\n'), r.cast.Bytes()...), 0o644); err != nil {
		return err
	}
	total := r.at().Round(time.Second)
	text := fmt.Sprintf(`<!-- Written by make walk; do not edit. -->
# The first ten minutes, recorded

The [README](../README.md), typed line by line on a fresh machine: a minimal Debian with Go,
make, git and ssh-keygen, no compiler of C, no kernel headers, and nothing of Go downloaded.
It took %d min %d s on %d processors. [walk.cast](walk.cast) is the same for asciinema.
%s`, int(total.Minutes()), int(total.Seconds())%60, runtime.NumCPU(), r.text.String())
	return os.WriteFile(filepath.Join(dir, "walk.md"), []byte(text), 0o644)
}
