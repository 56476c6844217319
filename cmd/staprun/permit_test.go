//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stapkit/bundle"
)

// told returns the bundle with what it uses in its manifest, as the compiler writes
// it, changed.
func told(t *testing.T, b []byte, change func(*bundle.Uses)) []byte {
	t.Helper()
	p, err := bundle.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	u := bundle.Uses{Carriers: []string{"loader"}}
	change(&u)
	p.Manifest.Fields = u.Fields()
	out, err := bundle.Write(p.ELF, p.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPolicyVerdicts(t *testing.T) {
	ann, annLine := newKey(t, 1, "ann@example.org")
	plain := hello(t)
	for _, tc := range []struct {
		name, policy string
		data         []byte
		args         []string
		status       int
		out, errOut  string
	}{
		{"no policy", "", signed(t, plain, ann), nil, 0, "hello 3\n", ""},
		{"permitted", "[[allow]]\nsigners = [\"*@example.org\"]\nscripts = [\"hello*\"]", signed(t, plain, ann), nil, 0, "hello 3\n", ""},
		{"other signers only", "[[allow]]\nsigners = [\"*@other.org\"]", signed(t, plain, ann), nil, 26, "", `no [[allow]] in the policy is for the script "hello.stp" by signer "ann@example.org"`},
		{"other users only", "[[allow]]\nusers = [\"nobody\"]", signed(t, plain, ann), nil, 26, "", "no [[allow]]"},
		{"unsigned not permitted", "[limits]\ncpu = 10", plain, []string{"--allow-unsigned"}, 26, "", "unsigned bundles are not permitted"},
		{"unsigned permitted", "allow_unsigned = true", plain, []string{"--allow-unsigned"}, 0, "hello 3\n", ""},
		{"broken", "cpu = 10", signed(t, plain, ann), nil, 26, "", "policy.toml: unknown key cpu"},
		{"right in the manifest", "", signed(t, told(t, plain, func(u *bundle.Uses) { u.Rights = []string{"system"} }), ann), nil, 26, "", "the right system is not permitted"},
		{"right granted", "[[allow]]\nrights = [\"system\"]", signed(t, told(t, plain, func(u *bundle.Uses) { u.Rights = []string{"system"} }), ann), nil, 0, "hello 3\n", ""},
		{"true manifest", "", signed(t, told(t, plain, func(*bundle.Uses) {}), ann), nil, 0, "hello 3\n", ""},
		{"lying manifest", "", signed(t, told(t, plain, func(u *bundle.Uses) { u.Carriers = nil }), ann), nil, 24, "", "it uses more than its manifest tells: carrier loader"},
		{"narrowed", "", signed(t, plain, ann), []string{"--limit", "output_rate=1MiB", "--limit", "cpu=3"}, 0, "hello 3\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{signersFile: annLine}
			if tc.policy != "" {
				files[policyFile] = tc.policy
			}
			r := commandWith(t, files, append(tc.args[:len(tc.args):len(tc.args)], save(t, tc.data))...)
			if r.status != tc.status || r.out != tc.out || !strings.Contains(r.errOut, tc.errOut) || tc.errOut == "" && r.errOut != "" {
				t.Errorf("status %d, output %q, errors %q", r.status, r.out, r.errOut)
			}
		})
	}
}

// TestCheck has --check judge the same things without a run.
func TestCheck(t *testing.T) {
	ann, annLine := newKey(t, 1, "ann@example.org")
	name := save(t, signed(t, hello(t), ann))
	r := commandWith(t, map[string]string{signersFile: annLine, policyFile: "[limits]\nruntime = \"1h\""}, "--check", "--json", name)
	var info checkInfo
	if err := json.Unmarshal([]byte(r.out), &info); err != nil || r.status != 0 {
		t.Fatalf("%v, status %d, %q", err, r.status, r.errOut)
	}
	if info.Verdict.Verdict != "ok" || len(info.Probes) != 1 || info.Probes[0].State != "ok" || info.Limits.Runtime != "1h0m0s" || info.Limits.CPU != 50 {
		t.Errorf("%+v", info)
	}
	if r = command(t, annLine, "--check", save(t, hello(t))); r.status != 20 || !strings.Contains(r.out, "verdict  unsigned") || !strings.Contains(r.out, "ok       begin") {
		t.Errorf("status %d, %q", r.status, r.out)
	}
}

// TestAudit reads the log of what was run and what was refused, as the journal and as
// syslog get it.
func TestAudit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a mount namespace with trust files of its own")
	}
	ann, annLine := newKey(t, 1, "ann@example.org")
	socket := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	read := func() string {
		t.Helper()
		buf := make([]byte, 1<<16)
		if err := l.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	files := map[string]string{signersFile: annLine, journalSocket: "-> " + socket}
	good := save(t, signed(t, hello(t), ann))
	if r := commandWith(t, files, good, "x=5"); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	entry := read()
	for _, want := range []string{
		"MESSAGE=ended: " + good + ": status 0", "STAPKIT_SIGNER=ann@example.org\n", "STAPKIT_SCRIPT=hello.stp\n", "STAPKIT_EVENT=ended\n",
		"STAPKIT_OPTIONS=" + good + " x=5\n", "STAPKIT_DIGEST=", "SYSLOG_IDENTIFIER=staprun\n",
	} {
		if !strings.Contains(entry, want) {
			t.Errorf("no %q in\n%s", want, entry)
		}
	}
	if r := commandWith(t, files, save(t, hello(t))); r.status != 20 {
		t.Fatalf("%+v", r)
	}
	if entry := read(); !strings.Contains(entry, "STAPKIT_EVENT=refused\n") || !strings.Contains(entry, "STAPKIT_OUTCOME=unsigned\n") || !strings.Contains(entry, "PRIORITY=4\n") {
		t.Error(entry)
	}
}

// TestJournalEntry: a field's value cannot make another field.
func TestJournalEntry(t *testing.T) {
	got := string(journalEntry([][2]string{{"A", "x"}, {"B", "y\nA=z"}}))
	if want := "A=x\nB\n\x05\x00\x00\x00\x00\x00\x00\x00y\nA=z\n"; got != want {
		t.Errorf("%q", got)
	}
}

// TestList shows an installed bundle with its verdict, and a running one while it runs.
func TestList(t *testing.T) {
	ann, annLine := newKey(t, 1, "ann@example.org")
	files := map[string]string{
		signersFile:                     annLine,
		"/etc/stapkit/bundles/hello.o":  "-> " + save(t, signed(t, hello(t), ann)),
		"/etc/stapkit/bundles/broken.o": "nothing",
		"/run/stapkit/1.json":           `{"pid":1,"ticks":"` + startTicks(1) + `","bundle":"/srv/init.o","user":"root","begun":"2026-01-01T00:00:00Z"}`,
		"/run/stapkit/2.json":           `{"pid":1,"ticks":"12345678901","bundle":"/srv/ended.o"}`,
		"/run/stapkit/3.json":           "{",
		"/run/stapkit/4.json":           "-> /dev/zero",
	}
	r := commandWith(t, files, "--list", "--json")
	var info listInfo
	if err := json.Unmarshal([]byte(r.out), &info); err != nil || r.status != 0 {
		t.Fatalf("%v, status %d, %q", err, r.status, r.errOut)
	}
	if len(info.Installed) != 2 || info.Installed[1].Name != "hello" || info.Installed[1].Verdict.Principal != "ann@example.org" || info.Installed[0].Verdict.Verdict != "altered" {
		t.Errorf("installed: %+v", info.Installed)
	}
	if len(info.Running) != 1 || info.Running[0].Bundle != "/srv/init.o" {
		t.Errorf("running: %+v", info.Running)
	}
	if r = commandWith(t, files, "--installed", "broken"); r.status != 24 {
		t.Errorf("an installed bundle that is none: %+v", r)
	}
	// A link is not followed, a file of root's is run.
	if r = commandWith(t, files, "--installed", "hello"); r.status != 26 || r.out != "" || !strings.Contains(r.errOut, "cannot be relied on") || !strings.HasSuffix(r.errOut, " [R126]\n") {
		t.Errorf("by a link: %+v", r)
	}
	copied := map[string]string{signersFile: annLine, "/etc/stapkit/bundles/hello.o": "=> " + save(t, signed(t, hello(t), ann))}
	if r = commandWith(t, copied, "--installed", "hello"); r.status != 0 || r.out != "hello 3\n" {
		t.Errorf("installed: %+v", r)
	}
	for _, name := range []string{"../hello", "hello.o", "none"} {
		if r = commandWith(t, copied, "--installed", name); r.status != 1 || r.out != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r = commandWith(t, files, "--list"); !strings.Contains(r.out, "hello                ok, signed by ann@example.org") || !strings.Contains(r.out, "/srv/init.o") {
		t.Errorf("%q", r.out)
	}
}

// TestStale: what a run has left whose broker was killed is cleared away by the next one, also
// when its number is another process's now; and no run writes where a link leads.
func TestStale(t *testing.T) {
	file := save(t, hello(t))
	if out, err := plain(t, nil, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	left := fmt.Sprintf("%s/%d.json", runDir, os.Getpid())
	if err := os.WriteFile(left, []byte(`{"pid":1,"ticks":"1","bundle":"/srv/gone.o"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(left)
	if out, err := plain(t, nil, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there still: %v", left, err)
	}
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := writeRecord(link, []byte("x")); err != nil || content(target) != "mine" || content(link) != "x" {
		t.Errorf("%v: %q, %q", err, content(target), content(link))
	}
}

func TestExportAndDetached(t *testing.T) {
	ann, annLine := newKey(t, 1, "ann@example.org")
	good := save(t, signed(t, hello(t), ann))
	prefix := filepath.Join(t.TempDir(), "x")
	if r := command(t, annLine, "--export-signature", prefix, good); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	manifest, err := os.ReadFile(prefix + ".manifest")
	if err != nil || !strings.HasPrefix(string(manifest), "stapkit-bundle 1.") {
		t.Errorf("%v, %q", err, manifest)
	}
	// The exported signature, given beside the bundle without one.
	prepared, _, err := bundle.Prepare(hello(t))
	if err != nil {
		t.Fatal(err)
	}
	bare := save(t, prepared)
	if r := command(t, annLine, bare); r.status != 24 {
		t.Errorf("without its signature: %+v", r)
	}
	if r := command(t, annLine, "--signature", prefix+".sig", bare); r.status != 0 || r.out != "hello 3\n" {
		t.Errorf("with it: %+v", r)
	}
	if r := command(t, annLine, "--signature", prefix+".none", bare); r.status != 1 || !strings.HasSuffix(r.errOut, ": no such file or directory\n") {
		t.Errorf("with nothing: %+v", r)
	}
	if r := command(t, annLine, "--signature", prefix+".manifest", bare); r.status != 24 {
		t.Errorf("with something else: %+v", r)
	}
}

// TestVerdictRight: whether a script's hooks refuse anything is seen in its programs, and
// its manifest says so.
func TestVerdictRight(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("needs a kernel with BTF, to compile for")
	}
	ann, annLine := newKey(t, 1, "ann@example.org")
	const hook = `probe netfilter.hook("NF_INET_LOCAL_OUT").pf("PF_INET") `
	for _, tc := range []struct {
		name, script string
		right        bool
	}{
		{"counts", "global n " + hook + "{ n++ }", false},
		{"loops", "global n function f(a) { return a * 3 } " + hook + "{ for (i = 0; i < 9; i++) n[f(i)]++ }", false},
		{"reads the verdict", "global a " + hook + "{ a[pp(), cpu()]++; printf(\"%s %d %s\\n\", probefunc(), $verdict, pp()) }", false},
		{"drops", hook + "{ $verdict = 0 }", true},
		{"drops some", "global n " + hook + "{ if (n++ % 2) $verdict = 0 }", true},
	} {
		data := bundleOf(t, tc.script, "-g")
		b, err := bundle.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		claim, told, err := b.Manifest.Uses()
		if err != nil || !told || slices.Contains(claim.Rights, bundle.RightVerdict) != tc.right {
			t.Errorf("%s: the manifest tells of the rights %q, %v", tc.name, claim.Rights, err)
		}
		file := save(t, signed(t, data, ann))
		r := commandWith(t, map[string]string{signersFile: annLine}, "--check", file)
		if refused := strings.Contains(r.out, "the right verdict is not permitted"); refused != tc.right || refused && r.status != 26 {
			t.Errorf("%s: %+v", tc.name, r)
		}
		r = commandWith(t, map[string]string{signersFile: annLine, policyFile: "[[allow]]\nrights = [\"verdict\"]"}, "--check", file)
		if strings.Contains(r.out, "not permitted") {
			t.Errorf("%s, permitted: %+v", tc.name, r)
		}
	}
}

// TestMemory: what the maps take is held against the limits with the options of the run, before
// anything is loaded, and for all CPUs that there can be.
func TestMemory(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("needs a kernel with BTF, to compile for")
	}
	ann, annLine := newKey(t, 1, "ann@example.org")
	file := save(t, signed(t, bundleOf(t, `probe kernel.trace("sys_enter") { if (pid() == 1) println(pid()) }`), ann))
	for _, tc := range []struct {
		policy string
		args   []string
		status int
		want   string
	}{
		{"", nil, 0, "verdict  ok"},
		{"", []string{"--limit", "map_memory=1MiB"}, 26, "(--limit map_memory)"},
		{"", []string{"-b", "64"}, 0, "verdict  ok"},
		{"", []string{"-b", "64", "--limit", "map_memory=32MiB"}, 26, "(--limit map_memory)"},
		{"", []string{"-b", "1", "--limit", "map_memory=4MiB"}, 0, "map_memory 4096 KiB"},
		{"[limits]\nmap_memory = \"32MiB\"", []string{"-b", "64"}, 26, "32768 KiB are permitted (map_memory)"},
		{"[limits]\nmap_memory = \"32MiB\"", []string{"--limit", "map_memory=1GiB"}, 0, "map_memory 32768 KiB"},
	} {
		files := map[string]string{signersFile: annLine}
		if tc.policy != "" {
			files[policyFile] = tc.policy
		}
		r := commandWith(t, files, append(append([]string{"--check"}, tc.args...), file)...)
		if r.status != tc.status || !strings.Contains(r.out, tc.want) {
			t.Errorf("%q, %q: %+v", tc.policy, tc.args, r)
		}
	}
	r := commandWith(t, map[string]string{signersFile: annLine}, "-b", "64", "--limit", "map_memory=32MiB", file)
	if r.status != 26 || strings.Count(r.errOut, "\n") != 1 || !strings.Contains(r.errOut, "[R126]") {
		t.Errorf("a run: %+v", r)
	}
	if _, err := os.Stat("/usr/bin/taskset"); err == nil {
		files := map[string]string{signersFile: annLine}
		all, one := commandWith(t, files, "--check", "--json", file), runAs(t, files, []string{"/usr/bin/taskset", "-c", "0"}, "--check", "--json", file)
		if all.out != one.out || all.status != 0 {
			t.Errorf("on one CPU it is another amount: %s, %+v", all.out, one)
		}
	}
}
