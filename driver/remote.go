package driver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	loader "stapkit/runtime"
	"stapkit/target"
)

// sshVar names another ssh command, in words, as GIT_SSH_COMMAND does for git.
const sshVar = "STAPKIT_SSH"

// A remote is a host of --remote. The script is compiled here for its kernel; the bundle
// is copied there and run by staprun, which is copied too if the host has none.
type remote struct {
	index   int
	name    string   // as it was given
	args    []string // of ssh, to reach it
	kernel  string   // uname -srvm
	machine string
	staprun string // path there
	dir     string // that was made there for staprun, "" if none
	bundle  []byte
}

// parseRemote reads [USER@]NAME or ssh://[USER@]NAME[:PORT].
func parseRemote(index int, text string) (*remote, error) {
	r := &remote{index: index, name: text}
	host, port := text, ""
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "ssh" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
			return nil, fmt.Errorf("--remote %s: give [USER@]HOST or ssh://[USER@]HOST[:PORT]", text)
		}
		host, port = u.Hostname(), u.Port()
		if u.User != nil {
			host = u.User.Username() + "@" + host
		}
	}
	if host == "" || strings.HasPrefix(host, "-") || strings.ContainsAny(host, " \t/") {
		return nil, fmt.Errorf("--remote %s: give [USER@]HOST or ssh://[USER@]HOST[:PORT]", text)
	}
	if port != "" {
		r.args = append(r.args, "-p", port)
	}
	r.args = append(r.args, host)
	return r, nil
}

// remotes runs the script on all hosts of --remote at the same time.
type remotes struct {
	s       *stap
	ssh     []string
	control string // directory of connections
	hosts   []*remote
}

// remote is the run with --remote.
func (s *stap) remote(ctx context.Context) int {
	o := s.o
	rs := &remotes{s: s, ssh: strings.Fields(os.Getenv(sshVar))}
	if len(rs.ssh) == 0 {
		rs.ssh = []string{"ssh"}
	}
	for i, text := range o.Remotes {
		r, err := parseRemote(i, text)
		if err != nil {
			return s.fail(err)
		}
		rs.hosts = append(rs.hosts, r)
	}
	var err error
	// One connection to each host does for all commands, so a password is asked once.
	// The path of its socket must be short.
	if rs.control, err = os.MkdirTemp("", "stap"); err != nil {
		return s.fail(err)
	}
	defer os.RemoveAll(rs.control)
	defer rs.close()
	for _, r := range rs.hosts {
		if err := rs.meet(ctx, r); err != nil {
			return s.fail(fmt.Errorf("%s: %w", r.name, err))
		}
	}
	byTarget := map[string][]byte{}
	for _, r := range rs.hosts {
		desc, err := rs.describe(ctx, r)
		if err != nil {
			return s.fail(fmt.Errorf("%s: %w", r.name, err))
		}
		if r.bundle = byTarget[desc]; r.bundle != nil {
			continue
		}
		b, ok, err := s.bundleFor(desc)
		if err != nil {
			return s.fail(fmt.Errorf("%s: %w", r.name, err))
		}
		if !ok {
			return 1
		}
		r.bundle, byTarget[desc] = b, b
	}
	return rs.run(ctx)
}

// bundleFor compiles the script for a description. ok is false when diagnostics were
// reported.
func (s *stap) bundleFor(desc string) (b []byte, ok bool, err error) {
	o := s.o
	tgt, err := target.Open(desc)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, tgt.Close()) }()
	old := o.Target
	o.Target = tgt
	defer func() { o.Target = old }()
	c, _, ok, err := s.compile()
	if err != nil || !ok {
		return nil, ok, err
	}
	if b, err = s.f.Bundle(c, []*Compiled{c}); err != nil {
		return nil, false, err
	}
	if o.SignKey != "" {
		b, err = sign(b, o.SignKey)
	}
	return b, true, err
}

// command is an ssh command that runs a script of the shell on the host.
func (rs *remotes) command(ctx context.Context, r *remote, script string) *exec.Cmd {
	args := append(rs.ssh[1:len(rs.ssh):len(rs.ssh)],
		"-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", "ControlPath="+filepath.Join(rs.control, "%C"), "-T")
	args = append(args, r.args...)
	cmd := exec.CommandContext(ctx, rs.ssh[0], append(args, "--", script)...)
	cmd.Stderr = rs.s.stderr
	return cmd
}

// close ends the connections.
func (rs *remotes) close() {
	for _, r := range rs.hosts {
		if r.dir != "" {
			// It is in the host's directory of temporary files.
			_ = rs.command(context.Background(), r, "rm -rf "+r.dir).Run()
		}
		args := append(rs.ssh[1:len(rs.ssh):len(rs.ssh)], "-o", "ControlPath="+filepath.Join(rs.control, "%C"), "-O", "exit")
		// It ends by itself after a minute.
		_ = exec.Command(rs.ssh[0], append(args, r.args...)...).Run()
	}
}

// meet asks what the host is, and sees to it that it has a staprun.
func (rs *remotes) meet(ctx context.Context, r *remote) error {
	out, err := rs.command(ctx, r,
		// SystemTap has a staprun, too.
		"uname -srvm && uname -m && { PATH=$PATH:/usr/sbin:/usr/local/bin; p=$(command -v staprun) && $p --version 2>/dev/null | grep -q 'bundle format' && echo $p || echo none; }").Output()
	if err != nil {
		return fmt.Errorf("ssh: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 3 {
		return fmt.Errorf("it answers %q, not what a Linux host would", out)
	}
	r.kernel, r.machine, r.staprun = lines[0], lines[1], lines[2]
	if r.staprun != "none" {
		return nil
	}
	if own := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]; own != r.machine {
		return fmt.Errorf("the host has no staprun, and that of this machine (%s) does not run there (%s); install stapkit-loader", own, r.machine)
	}
	path, err := tool("staprun")
	if err != nil {
		return fmt.Errorf("the host has no staprun, and there is none here to be copied: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := rs.command(ctx, r, "d=$(mktemp -d /tmp/stapkit.XXXXXX) && cat >$d/staprun && chmod 700 $d/staprun && echo $d")
	cmd.Stdin = f
	if out, err = cmd.Output(); err != nil {
		return fmt.Errorf("copying staprun: %w", err)
	}
	dir := strings.TrimSpace(string(out))
	if strings.Trim(dir, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./") != "" || !strings.HasPrefix(dir, "/tmp/stapkit.") {
		return fmt.Errorf("copying staprun: the host answers %q", dir)
	}
	r.dir, r.staprun = dir, dir+"/staprun"
	return nil
}

// tool finds another of our commands: beside this one, or where commands are.
func tool(name string) (string, error) {
	if exe, err := os.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(exe), name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// describe gets a description of the host's kernel, or has it already: hosts with the
// same build of a kernel share one.
func (rs *remotes) describe(ctx context.Context, r *remote) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "stapkit", "remote")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(r.kernel))
	name := filepath.Join(dir, hex.EncodeToString(sum[:8])+".desc")
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	out, err := rs.command(ctx, r, fmt.Sprintf("d=$(mktemp -d /tmp/stapkit.XXXXXX) && %s --describe $d/host && cat $d/host && rm -rf $d", quote(r.staprun))).Output()
	if err != nil {
		return "", fmt.Errorf("describing the host: %w", err)
	}
	return name, writeFile(name, out)
}

// quote quotes a word for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// run runs the bundles. The first interrupt has all end in order, the second ends ssh.
func (rs *remotes) run(ctx context.Context) int {
	s, o := rs.s, rs.s.o
	stdout := s.stdout
	if o.Output != "" {
		f, err := loader.OpenOutput(o.Output, o.Rotation)
		if err != nil {
			return s.fail(err)
		}
		defer func() {
			if err := f.Close(); err != nil {
				s.fail(err)
			}
		}()
		stdout = f
	}
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	var out, errs sync.Mutex
	status := make([]int, len(rs.hosts))
	var running sync.WaitGroup
	var inputs []io.Closer
	for i, r := range rs.hosts {
		cmd := rs.command(ctx, r, rs.script(r))
		prefix := ""
		if o.RemotePrefix {
			prefix = strconv.Itoa(r.index) + ": "
		}
		w, e := &lineWriter{w: stdout, mu: &out, prefix: prefix}, &lineWriter{w: s.stderr, mu: &errs, prefix: prefix}
		cmd.Stdout, cmd.Stderr = w, e
		// An interrupt at the terminal is for this process; ssh has to go on until the
		// host has said its last.
		ownGroup(cmd)
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			kill()
			running.Wait()
			return s.fail(fmt.Errorf("%s: %w", r.name, err))
		}
		inputs = append(inputs, in)
		running.Go(func() {
			// A host that refuses says why.
			_, _ = io.Copy(in, bytes.NewReader(r.bundle))
			err := cmd.Wait()
			w.end()
			e.end()
			var ee *exec.ExitError
			switch {
			case errors.As(err, &ee) && ee.ExitCode() > 0:
				status[i] = ee.ExitCode()
			case err != nil:
				status[i] = 1
			}
			if status[i] == 255 {
				s.fail(fmt.Errorf("%s: the connection was lost", r.name))
			}
		})
	}
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	stop := func() {
		for _, in := range inputs {
			// It may have ended by itself.
			_ = in.Close()
		}
	}
	end := ctx.Done()
	for n := 0; ; {
		select {
		case <-done:
			worst := 0
			for _, st := range status {
				worst = max(worst, st)
			}
			return worst
		case <-end:
			end = nil
			stop()
		case <-signals:
			if n++; n > 1 {
				kill()
			}
			stop()
		}
	}
}

// script is what the host's shell does: the bundle comes first on standard input, whose
// end then means the end of the run.
func (rs *remotes) script(r *remote) string {
	o := rs.s.o
	args := []string{quote(r.staprun), "--remote", quote(fmt.Sprintf("%d:%s", r.index, r.name))}
	if o.SignKey == "" {
		args = append(args, "--allow-unsigned")
	}
	add := func(given bool, words ...string) {
		if given {
			args = append(args, words...)
		}
	}
	add(o.Command != "", "-c", quote(o.Command))
	add(o.PID != 0, "-x", strconv.Itoa(o.PID))
	add(o.Timeout > 0, "-T", strconv.FormatFloat(o.Timeout.Seconds(), 'f', -1, 64))
	add(o.Timing, "-t")
	add(o.NoWarnings, "-w")
	add(o.BufferMB > 0, "-b", strconv.Itoa(o.BufferMB))
	add(o.OutputFormat == "json", "--format", "json")
	for range o.Verbose {
		add(true, "-v")
	}
	return fmt.Sprintf(`d=$(mktemp -d /tmp/stapkit.XXXXXX) || exit 1; trap 'rm -rf "$d"' EXIT; head -c %d >"$d"/script.o && %s "$d"/script.o`,
		len(r.bundle), strings.Join(args, " "))
}

// lineWriter passes whole lines on, so that those of several hosts do not mix.
type lineWriter struct {
	w      io.Writer
	mu     *sync.Mutex // of w
	prefix string
	rest   []byte
}

// Write implements io.Writer.
func (l *lineWriter) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	at := bytes.LastIndexByte(l.rest, '\n') + 1
	if at == 0 {
		return len(b), nil
	}
	err := l.put(l.rest[:at])
	l.rest = append(l.rest[:0], l.rest[at:]...)
	return len(b), err
}

func (l *lineWriter) put(lines []byte) error {
	if l.prefix != "" {
		var out []byte
		for line := range bytes.Lines(lines) {
			out = append(append(out, l.prefix...), line...)
		}
		lines = out
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.w.Write(lines)
	return err
}

// end passes on what has no end of line.
func (l *lineWriter) end() {
	if len(l.rest) > 0 {
		// Nobody is left to be told.
		_ = l.put(l.rest)
		l.rest = nil
	}
}
