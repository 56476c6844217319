//go:build linux

package driver

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRemoteNames: what is no host is refused before anything is run.
func TestRemoteNames(t *testing.T) {
	for text, want := range map[string]string{
		"host":                "host",
		"me@host":             "me@host",
		"ssh://me@host:2222":  "-p 2222 me@host",
		"ssh://host":          "host",
		"ssh://host/path":     "",
		"http://host":         "",
		"-oProxyCommand=evil": "",
		"a b":                 "",
		"":                    "",
	} {
		r, err := parseRemote(0, text)
		got := ""
		if err == nil {
			got = strings.Join(r.args, " ")
		}
		if got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// TestRemote runs a script by ssh on this machine, twice at the same time: staprun is
// copied there, lines have their hosts' numbers, and nothing is left behind.
func TestRemote(t *testing.T) {
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil || os.Geteuid() != 0 {
		t.Skip("needs sshd (package openssh-server) and root")
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Skipf("ssh-keygen: %v: %s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nPermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\n", port, dir, dir)
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(sshd, "-D", "-e", "-f", file)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := daemon.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = daemon.Wait()
	}()
	host := fmt.Sprintf("ssh://root@127.0.0.1:%d", port)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("sshd does not listen")
		}
	}
	// What is copied is found on the path.
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "staprun"), "stapkit/cmd/staprun")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv(sshVar, "ssh -F none -i "+filepath.Join(dir, "user")+" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR")
	before, err := filepath.Glob("/tmp/stapkit.*")
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	st := Stap(context.Background(), []string{"--remote", host, "--remote", host, "--remote-prefix", "-e",
		`probe begin { printf("host %d %s\n", remote_id(), remote_uri()); exit() } probe end { println("ended") }`}, strings.NewReader(""), &out, &errOut)
	if st != 0 {
		t.Fatalf("status %d: %s", st, errOut.String())
	}
	for _, want := range []string{"0: host 0 " + host + "\n", "1: host 1 " + host + "\n", "0: ended\n", "1: ended\n"} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	after, err := filepath.Glob("/tmp/stapkit.*")
	if err != nil || len(after) > len(before) {
		t.Errorf("left behind: %v (%v)", after, err)
	}
	// The status is the script's.
	out.Reset()
	if st := Stap(context.Background(), []string{"--remote", host, "-e", `probe begin { error("no") }`}, strings.NewReader(""), &out, &out); st != 1 || !strings.Contains(out.String(), "ERROR: no") {
		t.Errorf("status %d: %s", st, out.String())
	}
}
