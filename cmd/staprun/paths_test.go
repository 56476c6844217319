//go:build linux

package main

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stapkit/bundle"
)

// opened lists the paths that a run with these files tries to open, in order, as strace tells
// them of all its processes.
func opened(t *testing.T, files map[string]string, args ...string) ([]string, result) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	dir := t.TempDir()
	if out, err := exec.Command(strace, "-f", "-o", filepath.Join(dir, "try"), "/bin/true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: %v: %s", err, out)
	}
	trace := filepath.Join(dir, "trace")
	r := runAs(t, files, []string{strace, "-f", "-s", "4096", "-e", "trace=open,openat,openat2,creat", "-o", trace}, args...)
	var list []string
	call := regexp.MustCompile(`open(?:at|at2)?\((?:[^"]*, )?"([^"]*)"`)
	for line := range strings.Lines(content(trace)) {
		if m := call.FindStringSubmatch(line); m != nil && !strings.Contains(line, "O_PATH") {
			list = append(list, m[1])
		}
	}
	// What made the files of the test comes before.
	for i, path := range list {
		if path == args[len(args)-1] {
			return list[i:], r
		}
	}
	t.Fatalf("the bundle is not opened: %q, %+v", list, r)
	return nil, r
}

// TestNoPathTwice: a run opens its bundle and each file that says who is trusted once, whatever
// else it does; and nothing that a variable of the environment names.
func TestNoPathTwice(t *testing.T) {
	ann, annLine := newKey(t, 1, "ann@example.org")
	file := save(t, signed(t, hello(t), ann))
	// Somebody's own files of trust, in every place where one might look.
	home := t.TempDir()
	for _, dir := range []string{".", ".config/stapkit", "stapkit", ".stapkit", "etc/stapkit", ".local/share/stapkit"} {
		for name, text := range map[string]string{"allowed_signers": annLine, "policy.toml": "allow_unsigned = true\n", "revoked": ""} {
			path := filepath.Join(home, dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{
		"HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS", "STAPKIT", "STAPKIT_DIR", "STAPKIT_ETC", "STAPKIT_CONFIG",
		"STAPKIT_POLICY", "STAPKIT_TRUST", "STAPKIT_ALLOWED_SIGNERS", "SYSTEMTAP_DIR", "SYSTEMTAP_STAPRUN", "SYSTEMTAP_TAPSET", "SYSROOT", "PREFIX",
	} {
		t.Setenv(name, home)
	}
	if r := command(t, "", file); r.status != 21 {
		t.Errorf("nobody is allowed to sign: %+v", r)
	}
	if r := command(t, "", "--allow-unsigned", save(t, hello(t))); r.status != 0 || r.out != "hello 3\n" {
		t.Errorf("unsigned: %+v", r)
	}
	files := map[string]string{
		signersFile: annLine, "/etc/stapkit/allowed_signers.d/more": annLine, "/etc/stapkit/revoked": "# none\n",
		policyFile: "[limits]\ncpu = 10\n", "/etc/stapkit/policy.d/more.toml": "[limits]\ncpu = 20\n",
	}
	list, r := opened(t, files, file)
	if r.status != 0 || r.out != "hello 3\n" {
		t.Fatalf("%+v", r)
	}
	times := map[string]int{}
	for _, path := range list {
		times[path]++
		if strings.HasPrefix(path, home) {
			t.Errorf("opens %s, which the environment names", path)
		}
		if path != file && !strings.HasPrefix(path, "/proc/") && !strings.HasPrefix(path, "/sys/") && !strings.HasPrefix(path, "/dev/") &&
			!strings.HasPrefix(path, "/etc/") && !strings.HasPrefix(path, "/run/") && !strings.HasPrefix(path, "/usr/") {
			t.Errorf("opens %s", path)
		}
	}
	want := []string{file}
	for path := range files {
		want = append(want, path)
	}
	for _, path := range want {
		if times[path] != 1 {
			t.Errorf("opens %s %d times: %q", path, times[path], list)
		}
	}
}

// TestZone: the time of a signer is this host's, whatever time zone somebody asks for.
func TestZone(t *testing.T) {
	zone := "/usr/share/zoneinfo/Etc/GMT-14" // fourteen hours ahead
	if _, err := os.Stat(zone); err != nil {
		t.Skip("needs tzdata")
	}
	ann, line := newKey(t, 1, "ann@example.org")
	file := save(t, signed(t, hello(t), ann))
	// There is no /etc/localtime where the command runs.
	until := time.Now().UTC().Add(7 * time.Hour).Format("20060102150405")
	line = strings.Replace(line, " namespaces", ` valid-before="`+until+`",namespaces`, 1)
	for _, tz := range []string{"", "Etc/GMT-14", ":" + zone} {
		t.Setenv("TZ", tz)
		if r := command(t, line, file); r.status != 0 {
			t.Errorf("TZ=%s: %+v", tz, r)
		}
	}
}

// TestDigestOfMore: who adds a signature to a revoked bundle makes another file, and the
// same object.
func TestDigestOfMore(t *testing.T) {
	ann, annLine := newKey(t, 1, "ann@example.org")
	eve, _ := newKey(t, 2, "eve@example.org")
	good := signed(t, hello(t), ann)
	more := save(t, signed(t, good, eve))
	b, err := bundle.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	digest := func(sum [32]byte) map[string]string {
		return map[string]string{signersFile: annLine, "/etc/stapkit/revoked": "sha256:" + hex.EncodeToString(sum[:]) + "\n"}
	}
	for _, name := range []string{save(t, good), more} {
		if r := commandWith(t, digest(b.Manifest.ELFSHA256), name); r.status != 23 || !strings.Contains(r.errOut, "[R123]") {
			t.Errorf("by its object: %+v", r)
		}
	}
}
