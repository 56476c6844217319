package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/asm"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"stapkit/bundle"
	"stapkit/compile/object"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// unsigned is a small bundle.
func unsigned(t testing.TB) []byte {
	t.Helper()
	obj, err := object.Write(&object.Spec{Programs: []object.Program{{
		Name: "p", Section: "raw_tp", Insns: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := bundle.Write(obj, bundle.Manifest{Script: "t.stp", Tool: "stapkit test"})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func signerOf(t testing.TB, priv any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signerOf(t, priv)
}

func sign(t testing.TB, data []byte, key ssh.Signer) []byte {
	t.Helper()
	out, err := bundle.Sign(data, key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// text is the key as a line of an authorized_keys file.
func text(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }

// storeOf makes a store of allowed_signers lines and revocations.
func storeOf(t testing.TB, allowed, revoked string) *Store {
	t.Helper()
	signers, err := ParseAllowedSigners("signers", []byte(allowed))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRevoked("revoked", []byte(revoked))
	if err != nil {
		t.Fatal(err)
	}
	return NewStore("the test", signers, r)
}

func certify(t testing.TB, key ssh.PublicKey, ca ssh.Signer, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, KeyId: "id", ValidPrincipals: []string{"other@elsewhere", "ann@example.org"},
		ValidAfter: uint64(now.Add(-time.Hour).Unix()), ValidBefore: uint64(now.Add(time.Hour).Unix()),
	}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return c
}

func certSigner(t testing.TB, c *ssh.Certificate, key ssh.Signer) ssh.Signer {
	t.Helper()
	s, err := ssh.NewCertSigner(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestVerdicts(t *testing.T) {
	key, other, ca := newKey(t), newKey(t), newKey(t)
	pub := text(key.PublicKey())
	data := unsigned(t)
	one := sign(t, data, key)
	b, err := bundle.Parse(one)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) string { s := sha256.Sum256(b); return "sha256:" + hex.EncodeToString(s[:]) }
	prepared, _, err := bundle.Prepare(data)
	if err != nil {
		t.Fatal(err)
	}
	withCert := func(change func(*ssh.Certificate)) []byte {
		return sign(t, data, certSigner(t, certify(t, key.PublicKey(), ca, change), key))
	}
	authority := "*@example.org cert-authority,namespaces=\"stapkit-*\" " + text(ca.PublicKey())

	for _, tt := range []struct {
		name             string
		data             []byte
		allowed, revoked string
		want             Kind
		reason           string
	}{
		{"unsigned", data, "ann " + pub, "", Unsigned, "nobody has signed"},
		{"ok", one, "ann " + pub, "", OK, "signed by ann with SHA256:"},
		{"quoted principals", one, `"ann,bob" ` + pub, "", OK, "signed by ann,bob"},
		{"namespace", one, `ann namespaces="stapkit-bundle" ` + pub, "", OK, ""},
		{"namespaces", one, `ann namespaces="file,stapkit-*" ` + pub, "", OK, ""},
		{"other namespace", one, `ann namespaces="file,git" ` + pub, "", Untrusted, "not for the namespace stapkit-bundle"},
		{"negated namespace", one, `ann namespaces="*,!stapkit-bundle" ` + pub, "", Untrusted, "not for the namespace"},
		{"nobody", one, "", "", Untrusted, "no allowed signer in the test"},
		{"another key", one, "ann " + text(other.PublicKey()), "", Untrusted, "no allowed signer"},
		{"valid", one, `ann valid-after="20260101Z",valid-before="20261231Z" ` + pub, "", OK, ""},
		{"not yet", one, `ann valid-after="20270101Z" ` + pub, "", Expired, "is not valid before 2027-01-01 00:00:00 UTC"},
		{"no longer", one, `ann valid-before="202607011159Z" ` + pub, "", Expired, "has not been valid since 2026-07-01 11:59:00 UTC"},
		{"expired line, good line", one, `ann valid-before="20200101Z" ` + pub + "\nann " + pub, "", OK, ""},
		{"as authority only", one, "ann cert-authority " + pub, "", Untrusted, ""},

		{"revoked key", one, "ann " + pub, "# comment\n" + pub, Revoked, "revoked:2 revokes the key SHA256:"},
		{"revoked fingerprint", one, "ann " + pub, ssh.FingerprintSHA256(key.PublicKey()), Revoked, "revoked:1"},
		{"other key revoked", one, "ann " + pub, text(other.PublicKey()), OK, ""},
		{"revoked file", one, "ann " + pub, sum(one), Revoked, "SHA-256 of its file"},
		{"revoked object", one, "ann " + pub, sum(b.ELF), Revoked, "SHA-256 of its object"},
		{"revoked text", one, "ann " + pub, sum(b.Message), Revoked, "SHA-256 of its signed text"},
		{"revoked unsigned", data, "", sum(data), Revoked, "SHA-256 of its file"},

		{"signature lost", prepared, "ann " + pub, "", Altered, "a signature is expected"},
		{"nothing", nil, "ann " + pub, "", Altered, ""},
		{"text", []byte("#!/bin/sh\n"), "ann " + pub, "", Altered, ""},

		{"second signer", sign(t, one, other), "ann " + text(other.PublicKey()), "", OK, ""},
		{"first revoked, second good", sign(t, one, other), "ann " + text(other.PublicKey()), pub, OK, ""},
		{"one revoked, one unknown", sign(t, one, other), "", pub, Revoked, ""},
		{"one expired, one unknown", sign(t, one, other), `ann valid-before="20200101Z" ` + pub, "", Expired, ""},

		{"certificate", withCert(nil), authority, "", OK, "signed by ann@example.org with"},
		{"certificate, key listed", withCert(nil), "ann " + pub, "", Untrusted, ""},
		{"certificate of another authority", withCert(nil), "*@example.org cert-authority " + text(other.PublicKey()), "", Untrusted, ""},
		{"authority not marked", withCert(nil), "*@example.org " + text(ca.PublicKey()), "", Untrusted, ""},
		{"certificate for others", withCert(func(c *ssh.Certificate) { c.ValidPrincipals = []string{"eve@evil.org"} }), authority, "", Untrusted, "for none of *@example.org"},
		{"certificate for all", withCert(func(c *ssh.Certificate) { c.ValidPrincipals = nil }), authority, "", Untrusted, "for none of"},
		{"host certificate", withCert(func(c *ssh.Certificate) { c.CertType = ssh.HostCert }), authority, "", Untrusted, "not a user's"},
		{"critical option", withCert(func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "x"} }), authority, "", Untrusted, "critical option"},
		{"certificate expired", withCert(func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Unix()) }), authority, "", Expired, "certified only until 2026-07-01"},
		{"certificate not yet", withCert(func(c *ssh.Certificate) { c.ValidAfter = uint64(now.Unix()) + 1 }), authority, "", Expired, "certified only from 2026-07-01"},
		{"authority revoked", withCert(nil), authority, text(ca.PublicKey()), Revoked, ""},
		{"certified key revoked", withCert(nil), authority, pub, Revoked, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := Verify(tt.data, storeOf(t, tt.allowed, tt.revoked), now)
			if v.Kind != tt.want || !strings.Contains(v.Reason, tt.reason) {
				t.Errorf("%v (exit %d), want %v: %s", v, v.Kind.ExitCode(), tt.want, tt.reason)
			}
			if strings.Contains(v.String(), "\n") || (v.Kind != Altered) != (v.Bundle != nil) && v.Reason != "a signature is expected, and there is none" {
				t.Errorf("line %q, bundle %v", v, v.Bundle != nil)
			}
		})
	}
}

func TestKinds(t *testing.T) {
	seen := make(map[int]Kind)
	for k := range Kind(len(kinds)) {
		if other, ok := seen[k.ExitCode()]; ok {
			t.Errorf("%v and %v have the same exit code", k, other)
		}
		seen[k.ExitCode()] = k
		if (k == OK) != (k.ExitCode() == 0) || (k == OK) != (k.Code() == "") || k.String() == "" {
			t.Errorf("%v: exit code %d, code %q", k, k.ExitCode(), k.Code())
		}
	}
	var zero Verdict
	if zero.Kind == OK || zero.Kind.ExitCode() == 0 || Kind(200).ExitCode() == 0 {
		t.Error("a verdict that nobody gave is good")
	}
	if v := (Verdict{Kind: OK}).ForKernel("no BTF"); v.Kind != WrongKernel || v.String() != "not for this kernel: no BTF" {
		t.Errorf("%v", v)
	}
	if v := (Verdict{Kind: Revoked}).ByPolicy("guru"); v.Kind != Revoked {
		t.Errorf("policy hides %v", v)
	}
	if v := Refuse(fmt.Errorf("x")); v.Kind != Refused {
		t.Errorf("%v", v)
	}
}

// TestEveryByte changes and cuts signed bundles in every place: each result must be
// known as altered, never as unsigned or untrusted, and never good.
func TestEveryByte(t *testing.T) {
	_, edPriv, _ := ed25519.GenerateKey(rand.Reader)
	ecPriv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaPriv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, priv := range map[string]any{"ed25519": edPriv, "ecdsa": ecPriv, "rsa": rsaPriv} {
		t.Run(name, func(t *testing.T) {
			key := signerOf(t, priv)
			store := storeOf(t, "ann "+text(key.PublicKey()), "")
			data := sign(t, unsigned(t), key)
			if v := Verify(data, store, now); v.Kind != OK {
				t.Fatal(v)
			}
			for n := range data {
				if v := Verify(data[:n], store, now); v.Kind != Altered {
					t.Fatalf("cut to %d of %d bytes: %v", n, len(data), v)
				}
			}
			changed := bytes.Clone(data)
			for i := range data {
				for bit := range 8 {
					changed[i] = data[i] ^ 1<<bit
					if v := Verify(changed, store, now); v.Kind != Altered {
						t.Fatalf("bit %d of byte %d of %d: %v", bit, i, len(data), v)
					}
				}
				changed[i] = data[i]
			}
		})
	}
}

// TestForgedTail recomputes the checksum, as someone would who means it: what is
// signed must not change, whatever stands around it.
func TestForgedTail(t *testing.T) {
	key, eve := newKey(t), newKey(t)
	store := storeOf(t, "ann "+text(key.PublicKey()), "")
	data := sign(t, unsigned(t), key)
	b, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	// The good signature behind another object of the same script.
	m := b.Manifest
	m.Tool = "another"
	elf := bytes.Clone(b.ELF)
	forged, err := bundle.Write(elf, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Attach(forged, b.Signatures[0].Data); err == nil {
		t.Error("attached a signature of another text")
	}
	if v := Verify(sign(t, forged, eve), store, now); v.Kind != Untrusted {
		t.Errorf("signed by a stranger: %v", v)
	}
	// A good signature that names another namespace.
	for _, ns := range []string{"file", "stapkit-bundl", "stapkit-bundle\x00"} {
		if _, err := bundle.Attach(data, otherNamespace(t, b.Message, key, ns)); err == nil {
			t.Errorf("attached a signature of namespace %q", ns)
		}
	}
}

// otherNamespace signs the message for another purpose.
func otherNamespace(t *testing.T, message []byte, key ssh.Signer, ns string) []byte {
	t.Helper()
	sig, err := sshsig.Sign(bytes.NewReader(message), key, sshsig.HashSHA512, ns)
	if err != nil {
		t.Fatal(err)
	}
	return sig.Marshal()
}

// TestSmallRSA: a signature by a key that is too small does not verify.
func TestSmallRSA(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	priv, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Sign(unsigned(t), signerOf(t, priv)); err == nil || !strings.Contains(err.Error(), "1024 bits") {
		t.Errorf("signed by an RSA key of 1024 bits: %v", err)
	}
}

func TestParseAllowedSigners(t *testing.T) {
	k := text(newKey(t).PublicKey())
	good := "# who may sign\n\n  ann@example.org,*.ops " + k + " Ann's key\r\n" +
		"\"b o b\"\tCert-Authority,NAMESPACES=\"a,b\",valid-after=\"20250102\",valid-before=\"20260102030405Z\"  " + k + "\n" +
		"eve ssh-ed25519\t" + strings.Fields(k)[1]
	list, err := ParseAllowedSigners("f", []byte(good))
	if err != nil || len(list) != 3 {
		t.Fatalf("%d signers, %v", len(list), err)
	}
	a, b := list[0], list[1]
	if strings.Join(a.Principals, "|") != "ann@example.org|*.ops" || a.Comment != "Ann's key" || a.Line != 3 || a.File != "f" || a.CertAuthority {
		t.Errorf("%+v", a)
	}
	if !b.CertAuthority || strings.Join(b.Namespaces, "|") != "a|b" || b.Principals[0] != "b o b" ||
		!b.ValidAfter.Equal(time.Date(2025, 1, 2, 0, 0, 0, 0, time.Local)) ||
		!b.ValidBefore.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v", b)
	}

	for _, bad := range []string{
		"ann",
		"ann " + strings.Fields(k)[0],
		"ann " + strings.Fields(k)[0] + " AAAA",
		"ann ssh-rsa " + strings.Fields(k)[1],
		"ann cert-authority",
		"ann no-such-option " + k,
		"ann namespaces=x " + k,
		`ann namespaces="" ` + k,
		`ann namespaces="x",namespaces="y" ` + k,
		`ann cert-authority="yes" ` + k,
		`ann valid-after ` + k,
		`ann valid-after="2025" ` + k,
		`ann valid-after="20251301" ` + k,
		`ann valid-after="2025010a" ` + k,
		`ann valid-after="20260101",valid-before="20250101" ` + k,
		`"ann ` + k,
		", " + k,
		k,
		"ann " + k + "\x00",
		"ann command=\"x\" " + k,
	} {
		if list, err := ParseAllowedSigners("f", []byte("# x\n"+bad)); err == nil {
			t.Errorf("%q gave %+v", bad, list)
		} else if !strings.HasPrefix(err.Error(), "f:2: ") {
			t.Errorf("%q: error %q does not say where", bad, err)
		}
	}
}

func TestParseRevoked(t *testing.T) {
	for _, bad := range []string{
		"SSHKRL\n\x00\x00", "ann " + text(newKey(t).PublicKey()), "SHA256:xx", "sha256:12", "SHA512:abc", "serial: 1", "ssh-ed25519", "ssh-ed25519 AAAA",
	} {
		if _, err := ParseRevoked("f", []byte(bad)); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abbc", true}, {"a*c", "abb", false},
		{"?", "", false}, {"?b?", "abc", true}, {"*@*.org", "ann@example.org", true}, {"*@*.org", "ann@example.com", false},
		{"a**b", "ab", true}, {"*a*b*c*", "xxaxxbxxc", true}, {"abc", "abcd", false}, {strings.Repeat("*a", 30), strings.Repeat("a", 200) + "b", false},
	} {
		if got := matchPattern(tt.pattern, tt.s); got != tt.want {
			t.Errorf("%q ~ %q: %v", tt.pattern, tt.s, got)
		}
	}
}

func TestLoad(t *testing.T) {
	keys := make([]ssh.Signer, 6)
	for i := range keys {
		keys[i] = newKey(t)
	}
	line := func(i int) string { return fmt.Sprintf("key%d %s\n", i, text(keys[i].PublicKey())) }
	// build writes the files and returns the options to load them.
	build := func(t *testing.T, files map[string]string) LoadOptions {
		root := t.TempDir()
		for name, content := range files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return LoadOptions{Dirs: []string{filepath.Join(root, "etc/stapkit"), filepath.Join(root, "usr/lib/stapkit")}, Anchor: root, UID: os.Getuid()}
	}
	all := func() map[string]string {
		return map[string]string{
			"etc/stapkit/allowed_signers":             line(0),
			"etc/stapkit/allowed_signers.d/site":      line(1),
			"etc/stapkit/allowed_signers.d/both":      "",
			"etc/stapkit/allowed_signers.d/old.bak":   line(4),
			"etc/stapkit/revoked":                     "# nothing\n",
			"usr/lib/stapkit/allowed_signers":         line(2), // hidden
			"usr/lib/stapkit/allowed_signers.d/both":  line(2), // hidden
			"usr/lib/stapkit/allowed_signers.d/extra": line(3) + line(5),
			"usr/lib/stapkit/revoked.d/x.list":        text(keys[5].PublicKey()),
		}
	}
	t.Run("files", func(t *testing.T) {
		store, err := Load(build(t, all()))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []Kind{OK, OK, Untrusted, OK, Untrusted, Revoked} {
			if v := Verify(sign(t, unsigned(t), keys[i]), store, now); v.Kind != want {
				t.Errorf("key %d: %v, want %v", i, v, want)
			}
		}
	})
	t.Run("none", func(t *testing.T) {
		store, err := Load(LoadOptions{Dirs: []string{filepath.Join(t.TempDir(), "none")}, Anchor: os.TempDir() + "/..", UID: os.Getuid()})
		if err == nil && len(store.Signers()) != 0 {
			t.Errorf("signers out of nothing: %v", store.Signers())
		}
	})
	t.Run("dev null", func(t *testing.T) {
		opt := build(t, all())
		path := filepath.Join(opt.Dirs[0], "allowed_signers.d/extra")
		if err := os.Symlink(os.DevNull, path); err != nil {
			t.Fatal(err)
		}
		store, err := Load(opt)
		if err != nil {
			t.Fatal(err)
		}
		if v := Verify(sign(t, unsigned(t), keys[3]), store, now); v.Kind != Untrusted {
			t.Errorf("%v", v)
		}
	})
	for name, tt := range map[string]struct {
		change func(t *testing.T, opt *LoadOptions)
		want   string
	}{
		"file writable": {func(t *testing.T, o *LoadOptions) { chmod(t, o.Dirs[0]+"/allowed_signers", 0o664) }, "writable by others"},
		"revoked writable": {func(t *testing.T, o *LoadOptions) {
			chmod(t, o.Dirs[1]+"/revoked.d/x.list", 0o646)
		}, "writable by others"},
		"directory writable":   {func(t *testing.T, o *LoadOptions) { chmod(t, o.Dirs[0], 0o777) }, "writable by others"},
		"directory .d":         {func(t *testing.T, o *LoadOptions) { chmod(t, o.Dirs[0]+"/allowed_signers.d", 0o775) }, "writable by others"},
		"directory above":      {func(t *testing.T, o *LoadOptions) { chmod(t, filepath.Dir(o.Dirs[0]), 0o777) }, "writable by others"},
		"another owner":        {func(t *testing.T, o *LoadOptions) { o.UID++ }, "belongs to user"},
		"outside":              {func(t *testing.T, o *LoadOptions) { o.Anchor = o.Dirs[0] }, "is not below"},
		"link to a file":       {func(t *testing.T, o *LoadOptions) { link(t, o.Dirs[0]+"/allowed_signers") }, "symbolic link"},
		"link to a directory":  {func(t *testing.T, o *LoadOptions) { link(t, o.Dirs[0]) }, "not a directory"},
		"a directory for file": {func(t *testing.T, o *LoadOptions) { replaceByDir(t, o.Dirs[0]+"/revoked") }, "not a regular file"},
		"unreadable line": {func(t *testing.T, o *LoadOptions) {
			write(t, o.Dirs[0]+"/allowed_signers", "ann nonsense\n")
		}, "allowed_signers:1:"},
		"torn binary list": {func(t *testing.T, o *LoadOptions) { write(t, o.Dirs[0]+"/revoked", "SSHKRL\n\x00") }, "cut short"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := build(t, all())
			tt.change(t, &opt)
			_, err := Load(opt)
			if err == nil || !strings.Contains(err.Error(), tt.want) && !strings.Contains(err.Error(), "too many levels of symbolic links") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// link moves path away and links to it.
func link(t *testing.T, path string) {
	t.Helper()
	if err := os.Rename(path, path+"-real"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+"-real", path); err != nil {
		t.Fatal(err)
	}
}

func replaceByDir(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// keygen runs ssh-keygen with input, and skips the test where it is not installed.
func keygen(t testing.TB, input []byte, args ...string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	cmd := exec.Command(tool, args...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestKeygenVerifies gives what a bundle exports to ssh-keygen -Y verify.
func TestKeygenVerifies(t *testing.T) {
	ecPriv, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaPriv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ca := newKey(t)
	certified := newKey(t)
	cert := certSigner(t, certify(t, certified.PublicKey(), ca, func(c *ssh.Certificate) {
		c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity
	}), certified)
	for name, tt := range map[string]struct {
		key  ssh.Signer
		line string
	}{
		"ed25519":     {newKey(t), ""},
		"ecdsa":       {signerOf(t, ecPriv), ""},
		"rsa":         {signerOf(t, rsaPriv), ""},
		"certificate": {cert, "ann@example.org cert-authority " + text(ca.PublicKey())},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.line == "" {
				tt.line = `ann@example.org namespaces="stapkit-bundle" ` + text(tt.key.PublicKey())
			}
			b, err := bundle.Parse(sign(t, unsigned(t), tt.key))
			if err != nil {
				t.Fatal(err)
			}
			armored, err := b.Signatures[0].Armor()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			sig, allowed := filepath.Join(dir, "m.sig"), filepath.Join(dir, "allowed")
			write(t, sig, string(armored))
			write(t, allowed, tt.line+"\n")
			verify := func(message []byte, namespace string) (string, error) {
				return keygen(t, message, "-Y", "verify", "-n", namespace, "-f", allowed, "-I", "ann@example.org", "-s", sig)
			}
			if out, err := verify(b.Message, bundle.Namespace); err != nil {
				t.Errorf("ssh-keygen refuses: %s", out)
			}
			if out, err := verify(append(b.Message[:len(b.Message):len(b.Message)], ' '), bundle.Namespace); err == nil {
				t.Errorf("ssh-keygen accepts another text: %s", out)
			}
			if out, err := verify(b.Message, "file"); err == nil {
				t.Errorf("ssh-keygen accepts another namespace: %s", out)
			}
		})
	}
}

// TestKeygenSigns attaches signatures that ssh-keygen -Y sign has made, with keys and
// certificates that ssh-keygen has made.
func TestKeygenSigns(t *testing.T) {
	dir := t.TempDir()
	must := func(out string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	prepared, message, err := bundle.Prepare(unsigned(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"ed25519", "ecdsa", "rsa"} {
		key := filepath.Join(dir, typ)
		must(keygen(t, nil, "-q", "-t", typ, "-N", "", "-C", "ann's key", "-f", key))
		file := filepath.Join(dir, typ+".txt")
		write(t, file, string(message))
		must(keygen(t, nil, "-Y", "sign", "-n", bundle.Namespace, "-f", key, file))
		sig, err := os.ReadFile(file + ".sig")
		if err != nil {
			t.Fatal(err)
		}
		data, err := bundle.Attach(prepared, sig)
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		pub, err := os.ReadFile(key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		if v := Verify(data, storeOf(t, "ann "+string(pub), ""), now); v.Kind != OK {
			t.Errorf("%s: %v", typ, v)
		}
		if err := os.Remove(file + ".sig"); err != nil {
			t.Fatal(err)
		}
		must(keygen(t, nil, "-Y", "sign", "-n", "file", "-f", key, file))
		if sig, err = os.ReadFile(file + ".sig"); err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.Attach(prepared, sig); err == nil {
			t.Errorf("%s: a signature for files is taken", typ)
		}
	}
}

// TestAgreesWithKeygen asks ssh-keygen and this package about the same lines.
func TestAgreesWithKeygen(t *testing.T) {
	key, ca := newKey(t), newKey(t)
	pub := text(key.PublicKey())
	plain := sign(t, unsigned(t), key)
	certified := sign(t, unsigned(t), certSigner(t, certify(t, key.PublicKey(), ca, func(c *ssh.Certificate) {
		c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity
	}), key))
	dir := t.TempDir()
	for i, tt := range []struct {
		data []byte
		line string
	}{
		{plain, "ann@example.org " + pub},
		{plain, "*@example.org " + pub},
		{plain, `"ann@example.org" ` + pub},
		{plain, `ann@example.org namespaces="stapkit-bundle" ` + pub},
		{plain, `ann@example.org namespaces="stapkit-*" ` + pub},
		{plain, `ann@example.org namespaces="a,*" ` + pub},
		{plain, `ann@example.org namespaces="*,!stapkit-bundle" ` + pub},
		{plain, `ann@example.org namespaces="file" ` + pub},
		{plain, `ann@example.org NAMESPACES="file" ` + pub},
		{plain, `ann@example.org valid-after="19990101" ` + pub},
		{plain, `ann@example.org valid-after="199901011200" ` + pub},
		{plain, `ann@example.org valid-after="19990101120030" ` + pub},
		{plain, `ann@example.org valid-before="19990101" ` + pub},
		{plain, `ann@example.org valid-after="29990101" ` + pub},
		{plain, `ann@example.org valid-after="19990101",valid-before="29990101",namespaces="stapkit-bundle" ` + pub},
		{plain, `ann@example.org cert-authority ` + pub},
		{plain, `ann@example.org cert-authority ` + text(ca.PublicKey())},
		{plain, `ann@example.org unknown-option ` + pub},
		{plain, `ann@example.org valid-after="1999" ` + pub},
		{plain, `ann@example.org ` + text(ca.PublicKey())},
		{plain, "# " + pub},
		{certified, `ann@example.org cert-authority ` + text(ca.PublicKey())},
		{certified, `*@example.org cert-authority,namespaces="stapkit-bundle" ` + text(ca.PublicKey())},
		{certified, `ann@example.org cert-authority,namespaces="x" ` + text(ca.PublicKey())},
		{certified, `ann@example.org cert-authority,valid-before="19990101" ` + text(ca.PublicKey())},
		{certified, `bob@example.org cert-authority ` + text(ca.PublicKey())},
		{certified, `ann@example.org ` + text(ca.PublicKey())},
		{certified, `ann@example.org ` + pub},
	} {
		b, err := bundle.Parse(tt.data)
		if err != nil {
			t.Fatal(err)
		}
		armored, err := b.Signatures[0].Armor()
		if err != nil {
			t.Fatal(err)
		}
		sig, allowed := filepath.Join(dir, fmt.Sprint(i, ".sig")), filepath.Join(dir, fmt.Sprint(i, ".allowed"))
		write(t, sig, string(armored))
		write(t, allowed, tt.line+"\n")
		out, theirs := keygen(t, b.Message, "-Y", "verify", "-n", bundle.Namespace, "-f", allowed, "-I", "ann@example.org", "-s", sig)
		ours := false
		why := ""
		if signers, err := ParseAllowedSigners("f", []byte(tt.line)); err == nil {
			v := Verify(tt.data, NewStore("the test", signers, nil), time.Now())
			ours, why = v.Kind == OK, v.String()
		} else {
			why = err.Error()
		}
		if ours != (theirs == nil) {
			t.Errorf("%s\n we say: %s\n ssh-keygen says: %s", tt.line, why, out)
		}
	}
}

func FuzzAllowedSigners(f *testing.F) {
	k := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINNwMHM8lLcve+HMdKmjaanRnkdOE0Sm3ZUxkjv5LTgg"
	f.Add([]byte("ann@example.org,*.ops " + k + " comment\n# x\n"))
	f.Add([]byte(`"a b" cert-authority,namespaces="a,\"b\"",valid-after="20250102",valid-before="20260102030405Z" ` + k))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseAllowedSigners("f", data)
		if err != nil {
			return
		}
		for _, s := range list {
			if s.Key == nil || len(s.Principals) == 0 || s.Line == 0 {
				t.Fatalf("%q gave %+v", data, s)
			}
			_ = s.allows(now)
			_ = matchList(s.Principals, "ann@example.org")
		}
	})
}

func FuzzRevoked(f *testing.F) {
	f.Add([]byte("# x\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINNwMHM8lLcve+HMdKmjaanRnkdOE0Sm3ZUxkjv5LTgg c\nsha256:" + strings.Repeat("ab", 32)))
	f.Add([]byte("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"))
	f.Add([]byte(krlMagic + "\x00\x00\x00\x01" + strings.Repeat("\x00", 32) + "\x01\x00\x00\x00\x27\x00\x00\x00\x00\x00\x00\x00\x00\x21\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x23\x00\x00\x00\x05\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRevoked("f", data)
		if err == nil && r == nil {
			t.Fatal("neither a list nor an error")
		}
	})
}

// FuzzVerify tampers with a bundle signed by a trusted key. Only the bundle itself,
// or more good signatures around the same text, may be good.
func FuzzVerify(f *testing.F) {
	key := newKey(f)
	data := sign(f, unsigned(f), key)
	store := storeOf(f, "ann "+text(key.PublicKey()), "")
	f.Add(uint32(0), uint32(0), []byte{1})
	f.Add(uint32(len(data)-64), uint32(64), []byte{})
	f.Fuzz(func(t *testing.T, at, cut uint32, put []byte) {
		i := int(at) % (len(data) + 1)
		j := i + int(cut)%(len(data)-i+1)
		changed := append(append(bytes.Clone(data[:i]), put...), data[j:]...)
		if bytes.Equal(changed, data) {
			return
		}
		if v := Verify(changed, store, now); v.Kind == OK {
			t.Fatalf("good with bytes %d to %d replaced by %x", i, j, put)
		}
	})
}
