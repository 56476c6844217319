//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"stapkit/bundle"
	"stapkit/compile/object"
	"stapkit/format"
	"stapkit/internal/host"
	"stapkit/ir"
	loader "stapkit/runtime"
)

// childVar makes the test binary behave as staprun, in a mount namespace whose /etc and
// /run hold nothing but the files of the variable's JSON, by path. A value that begins
// with "-> " makes a link, with "=> " a copy; "/proc" is mounted anew with its value as options.
const childVar = "STAPRUN_TEST_FILES"

// capsVar has that process go on as user 65534 with these capabilities alone, as
// setpriv(1) takes them; plainVar marks it then.
const (
	capsVar  = "STAPRUN_TEST_CAPS"
	plainVar = "STAPRUN_TEST_PLAIN"
)

func TestMain(m *testing.M) {
	loader.Broker(logOf)
	files, ok := os.LookupEnv(childVar)
	if os.Getenv(plainVar) != "" {
		os.Exit(staprun(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	if !ok {
		os.Exit(m.Run())
	}
	if err := privateFiles(files); err != nil {
		fmt.Fprintln(os.Stderr, "test set-up:", err)
		os.Exit(99)
	}
	if caps, ok := os.LookupEnv(capsVar); ok {
		exe, err := os.Executable()
		if err == nil {
			args := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=" + caps, "--ambient-caps=" + caps, exe}
			err = syscall.Exec("/usr/bin/setpriv", append(args, os.Args[1:]...), append(os.Environ(), plainVar+"=1"))
		}
		fmt.Fprintln(os.Stderr, "test set-up:", err)
		os.Exit(99)
	}
	os.Exit(staprun(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// privateFiles hides the machine's own files from this process.
func privateFiles(list string) error {
	var files map[string]string
	if err := json.Unmarshal([]byte(list), &files); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, dir := range []string{"/etc", "/run"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	for path, content := range files {
		if path == "/proc" {
			if err := unix.Mount("proc", path, "proc", 0, content); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			if err := os.Symlink(to, path); err != nil {
				return err
			}
			continue
		}
		data := []byte(content)
		if from, ok := strings.CutPrefix(content, "=> "); ok {
			var err error
			if data, err = os.ReadFile(from); err != nil {
				return err
			}
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

type result struct {
	status      int
	out, errOut string
}

// command runs staprun as a process of its own, where signers are allowed.
func command(t *testing.T, signers string, args ...string) result {
	t.Helper()
	files := map[string]string{}
	if signers != "" {
		files[signersFile] = signers
	}
	return commandWith(t, files, args...)
}

const (
	signersFile = "/etc/stapkit/allowed_signers"
	policyFile  = "/etc/stapkit/policy.toml"
)

// commandWith is command with other files in /etc and /run.
func commandWith(t *testing.T, files map[string]string, args ...string) result {
	t.Helper()
	return runAs(t, files, nil, args...)
}

// runAs is commandWith by another program, whose arguments come before.
func runAs(t *testing.T, files map[string]string, by []string, args ...string) result {
	t.Helper()
	list, err := json.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a mount namespace with trust files of its own")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := slices.Concat(by, []string{exe}, args)
	cmd := exec.CommandContext(t.Context(), line[0], line[1:]...)
	cmd.Env = append(os.Environ(), childVar+"="+string(list))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// hello is a bundle of "global x = 3; probe begin { printf("hello %d\n", x) exit() }".
func hello(t *testing.T, probes ...ir.Probe) []byte {
	t.Helper()
	text := "hello %d\n"
	f, err := format.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	p := &ir.Program{
		Name: "hello", Limits: ir.DefaultLimits(), Sites: []ir.Site{{}, {File: "hello.stp", Line: 2, Col: 1}},
		Globals: []ir.Global{{Name: "x", Value: ir.TInt, InitInt: 3, Lock: -1, Settable: true}},
		Formats: []ir.Format{{Text: text, Parsed: f, Args: []ir.Type{ir.TInt}}},
		Handlers: []*ir.Handler{{Name: "p0_begin", MaxActions: 1000, Body: []ir.Stmt{
			&ir.Print{Args: []ir.Expr{&ir.GlobalGet{T: ir.TInt}}},
			&ir.Eval{X: &ir.Intrinsic{ID: ir.IExit, T: ir.TVoid}},
		}}},
		Probes: append([]ir.Probe{{Point: "begin", Script: "begin", Site: 1, Attach: []ir.Attach{{Carrier: "loader"}}}}, probes...),
	}
	if err := ir.Check(p); err != nil {
		t.Fatal("the test's own program: ", err)
	}
	enc, err := ir.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	elf, err := object.Write(&object.Spec{Sections: []object.Section{
		{Name: ".stap.ir", Data: enc}, {Name: bundle.MarkSection, Data: bundle.Mark()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Write(elf, bundle.Manifest{Script: "hello.stp", ScriptSHA256: sha256.Sum256(nil), Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newKey returns a signer and its line for allowed_signers.
func newKey(t *testing.T, seed byte, who string) (ssh.Signer, string) {
	t.Helper()
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return key, who + ` namespaces="stapkit-bundle" ` + string(ssh.MarshalAuthorizedKey(key.PublicKey()))
}

func signed(t *testing.T, b []byte, key ssh.Signer) []byte {
	t.Helper()
	s, err := bundle.Sign(b, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func save(t *testing.T, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "hello.o")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestVerdicts(t *testing.T) {
	ann, annLine := newKey(t, 1, "ann@example.org")
	eve, _ := newKey(t, 2, "eve@example.org")
	plain := hello(t)
	good := signed(t, plain, ann)
	changed := bytes.Clone(good)
	changed[100] ^= 1
	for _, tc := range []struct {
		name        string
		data        []byte
		signers     string
		args        []string
		status      int
		out, errOut string // errOut: a part
	}{
		{"signed", good, annLine, nil, 0, "hello 3\n", ""},
		{"signed, set global", good, annLine, []string{"x=42"}, 0, "hello 42\n", ""},
		{"signed, no such global", good, annLine, []string{"y=42"}, 1, "", `no scalar global "y"`},
		{"unsigned", plain, annLine, nil, 20, "", "unsigned"},
		{"unsigned allowed", plain, annLine, []string{"--allow-unsigned"}, 0, "hello 3\n", ""},
		{"unsigned allowed, no store", plain, "", []string{"--allow-unsigned"}, 0, "hello 3\n", ""},
		{"no trust store", good, "", nil, 21, "", "untrusted"},
		{"other key", signed(t, plain, eve), annLine, nil, 21, "", "untrusted"},
		{"other key, allow-unsigned", signed(t, plain, eve), annLine, []string{"--allow-unsigned"}, 21, "", "untrusted"},
		{"one byte changed", changed, annLine, nil, 24, "", "altered"},
		{"one byte changed, allow-unsigned", changed, annLine, []string{"--allow-unsigned"}, 24, "", "altered"},
		{"cut", good[:len(good)-1], annLine, []string{"--allow-unsigned"}, 24, "", "altered"},
		{"tail gone", good[:len(good)/2], annLine, nil, 24, "", "altered"},
		{"empty", nil, annLine, nil, 24, "", "altered"},
		{"expired", good, strings.Replace(annLine, " namespaces", ` valid-before="20200101",namespaces`, 1), nil, 22, "", "expired"},
		{"broken store", good, "not a line\n", nil, 26, "", "refused by policy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := save(t, tc.data)
			r := command(t, tc.signers, append(tc.args[:len(tc.args):len(tc.args)], name)...)
			if len(tc.args) > 0 && !strings.HasPrefix(tc.args[0], "-") {
				r = command(t, tc.signers, append([]string{name}, tc.args...)...)
			}
			if r.status != tc.status || r.out != tc.out || !strings.Contains(r.errOut, tc.errOut) || tc.errOut == "" && r.errOut != "" {
				t.Errorf("status %d, output %q, errors %q", r.status, r.out, r.errOut)
			}
			if tc.status >= 20 && (strings.Count(r.errOut, "\n") != 1 || !strings.Contains(r.errOut, "[R12")) {
				t.Errorf("not one line with a code: %q", r.errOut)
			}
			v := command(t, tc.signers, "--verify", name)
			if want := tc.status; want >= 20 && v.status != want || v.out == "" {
				t.Errorf("--verify: status %d, output %q", v.status, v.out)
			}
		})
	}
}

// TestEveryByte changes single bytes all over a signed bundle.
func TestEveryByte(t *testing.T) {
	ann, annLine := newKey(t, 1, "ann@example.org")
	good := signed(t, hello(t), ann)
	for i := 0; i < len(good); i += len(good)/60 + 1 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if r := command(t, annLine, save(t, bad)); r.status < 20 || r.out != "" {
			t.Errorf("byte %d of %d: status %d, output %q", i, len(good), r.status, r.out)
		}
	}
}

func TestInspect(t *testing.T) {
	ann, annLine := newKey(t, 1, "ann@example.org")
	name := save(t, signed(t, hello(t), ann))
	r := command(t, annLine, "--inspect", "--json", name)
	var info bundleInfo
	if err := json.Unmarshal([]byte(r.out), &info); err != nil || r.status != 0 {
		t.Fatalf("%v, status %d, %q", err, r.status, r.errOut)
	}
	if info.Verdict.Principal != "ann@example.org" || info.Script != "hello.stp" || len(info.Probes) != 1 ||
		info.Probes[0].Place != "hello.stp:2:1" || len(info.Globals) != 1 || info.Globals[0].Initial != "3" || info.Signatures != 1 {
		t.Errorf("%+v", info)
	}
	// Each of several signatures is told of.
	eve, _ := newKey(t, 2, "eve@example.org")
	twice := save(t, signed(t, signed(t, hello(t), eve), ann))
	r = command(t, annLine, "--inspect", "--json", twice)
	if err := json.Unmarshal([]byte(r.out), &info); err != nil || info.Verdict.Verdict != "ok" || info.Signatures != 2 || len(info.Signed) != 2 ||
		info.Signed[0].Verdict != "untrusted" || info.Signed[0].Key != ssh.FingerprintSHA256(eve.PublicKey()) || info.Signed[1].Principal != "ann@example.org" {
		t.Errorf("%v, %s", err, r.out)
	}
	r = command(t, annLine, "--inspect", twice)
	if !strings.Contains(r.out, "signature  "+ssh.FingerprintSHA256(eve.PublicKey())+"  untrusted\n") || !strings.Contains(r.out, "  ok, signed by ann@example.org\n") {
		t.Errorf("status %d:\n%s", r.status, r.out)
	}
	r = command(t, "", "--inspect", name)
	for _, want := range []string{"untrusted", "hello.stp:2:1", "x:long = 3 (may be set)", ".stap.ir"} {
		if r.status != 0 || !strings.Contains(r.out, want) {
			t.Errorf("status %d, no %q in\n%s", r.status, want, r.out)
		}
	}
	// A file without an end is read as far as a bundle can go.
	if r = command(t, "", "--verify", "/dev/zero"); r.status != 24 || !strings.Contains(r.out, "bytes are more than") {
		t.Errorf("/dev/zero: %+v", r)
	}
	if r = command(t, "", "--inspect", save(t, []byte("junk"))); r.status != 24 {
		t.Errorf("junk: status %d", r.status)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"--no-such-option", "x"}, {"-x", "-1", "x"}, {"-x", "1", "-c", "ls", "x"}, {"--verify", "--inspect", "x"},
		{"x", "noequals"}, {"-N", "0", "x"}, {"-r", "a:b", "x"}, {"-C", "green", "x"}, {"-M", "1", "x"}, {"--describe", "f", "x"}, {"-T", "-1", "x"}, {"--target", "f", "x"},
	} {
		var out, errOut bytes.Buffer
		if st := staprun(t.Context(), args, &out, &errOut); st != exitUsage || errOut.Len() == 0 || out.Len() > 0 {
			t.Errorf("%q: status %d, %q %q", args, st, out.String(), errOut.String())
		}
	}
	var out, errOut bytes.Buffer
	if st := staprun(t.Context(), []string{"/no/such/file"}, &out, &errOut); st != exitFailed || !strings.Contains(errOut.String(), "no such file") {
		t.Errorf("status %d, %q", st, errOut.String())
	}
	for _, arg := range []string{"--help", "--version"} {
		out.Reset()
		if st := staprun(t.Context(), []string{arg}, &out, &errOut); st != 0 || out.Len() == 0 {
			t.Errorf("%s: status %d", arg, st)
		}
	}
}

func TestDescribe(t *testing.T) {
	host.NeedBPF(t) // it tries features out
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("no kernel BTF")
	}
	name := filepath.Join(t.TempDir(), "host")
	var out, errOut bytes.Buffer
	if st := staprun(t.Context(), []string{"--describe", name}, &out, &errOut); st != 0 {
		t.Fatalf("status %d: %s", st, errOut.String())
	}
	// What was described can be compiled for, and dry runs against it answer.
	b := save(t, hello(t))
	if st := staprun(t.Context(), []string{"--dry-run", "--target", name, b}, &out, &errOut); st != 0 || !strings.HasPrefix(out.String(), "ok ") {
		t.Errorf("status %d: %s%s", st, out.String(), errOut.String())
	}
}
