package trust

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// krl has ssh-keygen make a binary revocation list of what spec says, and reads it.
func krl(t testing.TB, ca ssh.PublicKey, spec string) []byte {
	t.Helper()
	dir := t.TempDir()
	name := func(base, content string) string {
		path := filepath.Join(dir, base)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{"-k", "-f", filepath.Join(dir, "krl")}
	if ca != nil {
		args = append(args, "-s", name("ca.pub", text(ca)+"\n"))
	}
	if out, err := keygen(t, nil, append(args, name("spec", spec))...); err != nil {
		t.Fatalf("ssh-keygen -k: %v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "krl"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBinaryRevocations judges bundles against lists that ssh-keygen -k has made.
func TestBinaryRevocations(t *testing.T) {
	key, ca, otherCA := newKey(t), newKey(t), newKey(t)
	certified := func(authority ssh.Signer, serial uint64, id string) ssh.Signer {
		return certSigner(t, certify(t, key.PublicKey(), authority, func(c *ssh.Certificate) { c.Serial, c.KeyId = serial, id }), key)
	}
	allowed := fmt.Sprintf("ann@example.org %s\nann@example.org cert-authority %s\nann@example.org cert-authority %s",
		text(key.PublicKey()), text(ca.PublicKey()), text(otherCA.PublicKey()))
	bitmap := "serial: 101\nserial: 103\nserial: 104\nserial: 107\nserial: 109\n"
	for name, tt := range map[string]struct {
		ca   ssh.PublicKey
		spec string
		key  ssh.Signer
		want Kind
	}{
		"nothing":             {nil, "", key, OK},
		"key":                 {nil, text(key.PublicKey()), key, Revoked},
		"key of certificate":  {nil, text(key.PublicKey()), certified(ca, 7, "id"), Revoked},
		"authority":           {nil, text(ca.PublicKey()), certified(ca, 7, "id"), Revoked},
		"other authority":     {nil, text(otherCA.PublicKey()), certified(ca, 7, "id"), OK},
		"sha1":                {nil, "sha1: " + text(key.PublicKey()), key, Revoked},
		"sha256":              {nil, "sha256: " + text(key.PublicKey()), key, Revoked},
		"hash":                {nil, "hash: " + ssh.FingerprintSHA256(key.PublicKey()), key, Revoked},
		"another key":         {nil, text(otherCA.PublicKey()), key, OK},
		"serial":              {ca.PublicKey(), "serial: 7", certified(ca, 7, "id"), Revoked},
		"serial, plain key":   {ca.PublicKey(), "serial: 7", key, OK},
		"other serial":        {ca.PublicKey(), "serial: 7", certified(ca, 8, "id"), OK},
		"serial, another's":   {otherCA.PublicKey(), "serial: 7", certified(ca, 7, "id"), OK},
		"range, first":        {ca.PublicKey(), "serial: 1000-9000000", certified(ca, 1000, "id"), Revoked},
		"range, last":         {ca.PublicKey(), "serial: 1000-9000000", certified(ca, 9000000, "id"), Revoked},
		"range, behind":       {ca.PublicKey(), "serial: 1000-9000000", certified(ca, 9000001, "id"), OK},
		"many, in":            {ca.PublicKey(), bitmap, certified(ca, 104, "id"), Revoked},
		"many, last":          {ca.PublicKey(), bitmap, certified(ca, 109, "id"), Revoked},
		"many, out":           {ca.PublicKey(), bitmap, certified(ca, 105, "id"), OK},
		"many, behind":        {ca.PublicKey(), bitmap, certified(ca, 9999, "id"), OK},
		"identity":            {ca.PublicKey(), "id: stolen laptop", certified(ca, 0, "stolen laptop"), Revoked},
		"identity, others":    {ca.PublicKey(), "id: stolen laptop", certified(ca, 0, "laptop"), OK},
		"number zero":         {ca.PublicKey(), "serial: 1-5", certified(ca, 0, "id"), OK},
		"certificate, as one": {nil, string(ssh.MarshalAuthorizedKey(certified(ca, 42, "id").PublicKey())), certified(ca, 42, "id"), Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			v := Verify(sign(t, unsigned(t), tt.key), storeOf(t, allowed, string(krl(t, tt.ca, tt.spec+"\n"))), now)
			if v.Kind != tt.want {
				t.Errorf("%v, want %v", v, tt.want)
			}
			if v.Kind == Revoked && !strings.Contains(v.Reason, "revoked revokes the key") {
				t.Errorf("reason %q", v.Reason)
			}
		})
	}
}

// TestBrokenBinaryRevocations takes a list apart: what cannot be read is an error,
// never a list with less in it.
func TestBrokenBinaryRevocations(t *testing.T) {
	ca := newKey(t).PublicKey()
	good := krl(t, ca, "serial: 7\nserial: 12-4000000\nid: x\n"+text(newKey(t).PublicKey())+"\n")
	if _, err := ParseRevoked("f", good); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for n := len(krlMagic); n < len(good); n++ {
		// Cut between two sections, a list is a shorter list.
		if _, err := ParseRevoked("f", good[:n]); err == nil {
			whole++
		}
	}
	if whole > 2 {
		t.Errorf("%d beginnings of the list are taken for lists", whole)
	}
	section := func(kind byte, body ...byte) []byte {
		out := append(append([]byte(krlMagic), 0, 0, 0, 1), make([]byte, 32)...)
		return append(binary.BigEndian.AppendUint32(append(out, kind), uint32(len(body))), body...)
	}
	sub := func(kind byte, body ...byte) []byte {
		return section(krlCertificates, append(append(make([]byte, 8), kind, 0, 0, 0, byte(len(body))), body...)...)
	}
	for name, tt := range map[string]struct{ data []byte }{
		"format":            {append([]byte(krlMagic), 0, 0, 0, 2)},
		"unknown section":   {section(77)},
		"unknown kind":      {sub(0x30)},
		"short fingerprint": {section(krlSHA256, 0, 0, 0, 1, 9)},
		"no key":            {section(krlExplicitKey, 0, 0, 0, 1, 9)},
		"backward range":    {sub(krlSerialRange, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 8)},
		"long range":        {sub(krlSerialRange, append(make([]byte, 16), 1)...)},
		"negative bitmap":   {sub(krlSerialBitmap, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x80)},
		"critical":          {section(krlExtension, 0, 0, 0, 1, 'x', 1, 0, 0, 0, 0)},
		"after signature":   {append(append(section(krlSHA256), krlSignature, 0, 0, 0, 0, 0, 0, 0, 0), krlSHA256, 0, 0, 0, 0)},
	} {
		if _, err := ParseRevoked("f", tt.data); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := ParseRevoked("f", section(krlExtension, 0, 0, 0, 1, 'x', 0, 0, 0, 0, 0)); err != nil {
		t.Errorf("an extension that is not critical: %v", err)
	}
}
