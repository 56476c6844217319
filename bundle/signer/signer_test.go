package signer

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/crypto/ssh"

	"stapkit/bundle"
	"stapkit/bundle/trust"
	"stapkit/compile/object"
)

func testBundle(t *testing.T) []byte {
	t.Helper()
	obj, err := object.Write(&object.Spec{Programs: []object.Program{{
		Name: "p", Section: "raw_tp", Insns: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := bundle.Write(obj, bundle.Manifest{Script: "t.stp"})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tool runs a program of OpenSSH and returns what it prints.
func tool(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

func keygen(t *testing.T, path, typ, passphrase string) {
	t.Helper()
	tool(t, nil, "ssh-keygen", "-q", "-t", typ, "-N", passphrase, "-C", "test", "-f", path)
}

// startAgent runs ssh-agent in the foreground and returns its socket.
func startAgent(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("ssh-agent")
	if err != nil {
		t.Skip("ssh-agent is not installed")
	}
	dir, err := os.MkdirTemp("", "agent") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it reports the kill
		os.RemoveAll(dir)
	})
	for range 100 {
		if _, err := os.Stat(socket); err == nil {
			return socket
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("ssh-agent does not start")
	return ""
}

// check signs with what path stands for and verifies with the allowed_signers line.
func check(t *testing.T, path string, opt Options, line string) {
	t.Helper()
	s, err := OpenWith(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	data, err := bundle.Sign(testBundle(t), s)
	if err != nil {
		t.Fatal(err)
	}
	signers, err := trust.ParseAllowedSigners("f", []byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if v := trust.Verify(data, trust.NewStore("the test", signers, nil), time.Now()); v.Kind != trust.OK {
		t.Error(v)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	for _, typ := range []string{"ed25519", "ecdsa", "rsa"} {
		key := filepath.Join(dir, typ)
		keygen(t, key, typ, "")
		check(t, key, Options{}, "ann "+read(t, key+".pub"))
	}

	key := filepath.Join(dir, "locked")
	keygen(t, key, "ed25519", "secret")
	if _, err := OpenWith(key, Options{}); err == nil || !strings.Contains(err.Error(), "is encrypted") {
		t.Errorf("encrypted key: %v", err)
	}
	asked := ""
	opt := Options{Passphrase: func(path string) ([]byte, error) { asked = path; return []byte("secret"), nil }}
	check(t, key, opt, "ann "+read(t, key+".pub"))
	if asked != key {
		t.Errorf("asked for %q", asked)
	}
	opt.Passphrase = func(string) ([]byte, error) { return []byte("wrong"), nil }
	if _, err := OpenWith(key, opt); err == nil {
		t.Error("opened with a wrong passphrase")
	}
	gone := errors.New("nobody there")
	opt.Passphrase = func(string) ([]byte, error) { return nil, gone }
	if _, err := OpenWith(key, opt); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}

	// A public key or certificate without an agent stands for the private key beside it.
	for _, typ := range []string{"ed25519", "rsa"} {
		path := filepath.Join(dir, typ)
		check(t, path+".pub", Options{}, "ann "+read(t, path+".pub"))
		ca := filepath.Join(dir, "ca-"+typ)
		keygen(t, ca, "ed25519", "")
		tool(t, nil, "ssh-keygen", "-q", "-s", ca, "-I", "ann", "-n", "ann@example.org", "-V", "-1d:+1d", path+".pub")
		check(t, path+"-cert.pub", Options{}, "*@example.org cert-authority "+read(t, ca+".pub"))
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte(read(t, filepath.Join(dir, "ed25519"))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other+".pub", []byte(read(t, filepath.Join(dir, "rsa.pub"))), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenWith(other+".pub", Options{}); err == nil || !strings.Contains(err.Error(), "is not of the private key in") {
		t.Errorf("another's public key: %v", err)
	}

	open := filepath.Join(dir, "ed25519")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenWith(open, Options{}); err == nil || !strings.Contains(err.Error(), "others can read") {
		t.Errorf("readable key: %v", err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, dir, filepath.Join(dir, "none"), os.DevNull} {
		if _, err := OpenWith(path, Options{}); err == nil {
			t.Errorf("opened %s", path)
		}
	}
}

func TestAgent(t *testing.T) {
	dir := t.TempDir()
	socket := startAgent(t)
	env := []string{"SSH_AUTH_SOCK=" + socket}
	opt := Options{AgentSocket: socket}
	for _, typ := range []string{"rsa", "ed25519"} {
		key := filepath.Join(dir, typ)
		keygen(t, key, typ, "")
		alone := filepath.Join(dir, "alone.pub") // without the private key beside it
		if err := os.WriteFile(alone, []byte(read(t, key+".pub")), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenWith(alone, opt); err == nil || !strings.Contains(err.Error(), "does not hold") {
			t.Errorf("key that the agent does not hold: %v", err)
		}
		tool(t, env, "ssh-add", "-q", key)
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		check(t, key+".pub", opt, "ann "+read(t, key+".pub"))
	}

	// Certified by an authority, the private key in the agent only.
	ca, key := filepath.Join(dir, "ca"), ""
	keygen(t, ca, "ed25519", "")
	for _, typ := range []string{"ed25519", "rsa"} {
		key = filepath.Join(dir, "certified-"+typ)
		keygen(t, key, typ, "")
		tool(t, env, "ssh-add", "-q", key)
		tool(t, nil, "ssh-keygen", "-q", "-s", ca, "-I", "ann", "-n", "ann@example.org", "-V", "-1d:+1d", key+".pub")
		line := "*@example.org cert-authority,namespaces=\"stapkit-bundle\" " + read(t, ca+".pub")
		check(t, key+"-cert.pub", opt, line)
		tool(t, env, "ssh-add", "-q", key) // now with the certificate beside it
		check(t, key+"-cert.pub", opt, line)
	}

	t.Setenv("SSH_AUTH_SOCK", socket)
	if s, err := Open(key + ".pub"); err != nil || s.PublicKey().Type() != ssh.KeyAlgoRSA {
		t.Errorf("%v, %v", s, err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenWith(key+".pub", Options{}); err == nil || !strings.Contains(err.Error(), "SSH_AUTH_SOCK is not set") {
		t.Errorf("no agent: %v", err)
	}
	if _, err := OpenWith(key+".pub", Options{AgentSocket: filepath.Join(dir, "none")}); err == nil {
		t.Error("an agent that is not there")
	}
}

// TestKeygenWithAgent signs by ssh-keygen -Y sign through the agent, with a
// certificate, and attaches that.
func TestKeygenWithAgent(t *testing.T) {
	dir := t.TempDir()
	socket := startAgent(t)
	env := []string{"SSH_AUTH_SOCK=" + socket}
	ca, key := filepath.Join(dir, "ca"), filepath.Join(dir, "key")
	keygen(t, ca, "ed25519", "")
	keygen(t, key, "ed25519", "")
	tool(t, nil, "ssh-keygen", "-q", "-s", ca, "-I", "ann", "-n", "ann@example.org", key+".pub")
	tool(t, env, "ssh-add", "-q", key)

	prepared, message, err := bundle.Prepare(testBundle(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "message")
	if err := os.WriteFile(file, message, 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, env, "ssh-keygen", "-Y", "sign", "-n", bundle.Namespace, "-f", key+"-cert.pub", file)
	data, err := bundle.Attach(prepared, []byte(read(t, file+".sig")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := b.Signatures[0].Verify(b.Message)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := pub.(*ssh.Certificate); !ok || !bytes.Equal(b.Message, message) {
		t.Errorf("signed with %T", pub)
	}
	signers, err := trust.ParseAllowedSigners("f", []byte("*@example.org cert-authority "+read(t, ca+".pub")))
	if err != nil {
		t.Fatal(err)
	}
	if v := trust.Verify(data, trust.NewStore("the test", signers, nil), time.Now()); v.Kind != trust.OK || v.Principal != "ann@example.org" {
		t.Error(v)
	}
}
