package driver_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/bundle"
	"stapkit/driver"
)

// stapc runs the command and returns its exit status and what it printed.
func stapc(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	status := driver.Stapc(args, strings.NewReader(""), &out, &out)
	return status, out.String()
}

func signatures(t *testing.T, name string) int {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return len(b.Signatures)
}

// TestSign signs, adds signatures, and takes one from ssh-keygen -Y sign.
func TestSign(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(keygen, args...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen %q: %v: %s", args, err, out)
		}
	}
	ok := func(args ...string) {
		t.Helper()
		if st, out := stapc(t, args...); st != 0 {
			t.Fatalf("stapc %q: status %d: %s", args, st, out)
		}
	}
	for _, k := range []string{"a", "b", "c"} {
		run("-q", "-t", "ed25519", "-N", "", "-C", k, "-f", path(k))
	}
	ok("-o", path("x.o"), "-e", `probe begin { println("hello") exit() }`)
	if n := signatures(t, path("x.o")); n != 0 {
		t.Errorf("%d signatures of a new bundle", n)
	}
	ok("sign", "--sign", path("a"), "--sign", path("b"), "-o", path("ab.o"), path("x.o"))
	if n := signatures(t, path("ab.o")); n != 2 {
		t.Errorf("%d signatures, want 2", n)
	}
	ok("sign", "--sign", path("c"), path("ab.o"))
	if n := signatures(t, path("ab.o")); n != 3 {
		t.Errorf("%d signatures, want 3", n)
	}
	ok("sign", "--message", path("m"), "-o", path("prepared.o"), path("x.o"))
	run("-Y", "sign", "-q", "-n", bundle.Namespace, "-f", path("a"), path("m"))
	ok("sign", "--attach", path("m.sig"), "-o", path("attached.o"), path("prepared.o"))
	if n := signatures(t, path("attached.o")); n != 1 {
		t.Errorf("%d signatures, want 1", n)
	}
	ok("sign", "--sign", path("b"), "--detached", path("d.sig"), "-o", path("bare.o"), path("x.o"))
	if n := signatures(t, path("bare.o")); n != 0 {
		t.Errorf("%d signatures beside a detached one", n)
	}
	ok("sign", "--attach", path("d.sig"), path("bare.o"))
	if n := signatures(t, path("bare.o")); n != 1 {
		t.Errorf("%d signatures, want 1", n)
	}
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"give one bundle", []string{"sign", "--sign", path("a")}},
		{"give --sign", []string{"sign", path("x.o")}},
		{"one --sign", []string{"sign", "--sign", path("a"), "--sign", path("b"), "--detached", path("s"), path("x.o")}},
		{"already", []string{"sign", "--attach", path("d.sig"), path("bare.o")}},
		{"does not", []string{"sign", "--attach", path("d.sig"), path("other.o")}},
		{"no such file", []string{"sign", "--sign", path("none"), path("x.o")}},
		{"unrecognized option '--sing'", []string{"sign", "--sing", path("a"), path("x.o")}},
	} {
		if tt.want == "does not" {
			ok("-o", path("other.o"), "-e", `probe begin { println("other") exit() }`)
			tt.want = "signature"
		}
		if st, out := stapc(t, tt.args...); st == 0 || !strings.Contains(out, tt.want) {
			t.Errorf("stapc %q: status %d, %q", tt.args, st, out)
		}
	}
}
