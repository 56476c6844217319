package trust

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Revocations is what no longer counts: keys and bundles.
type Revocations struct {
	keys    map[string]place // by SHA-256 fingerprint
	digests map[[32]byte]place
	// Only OpenSSH's binary lists have these.
	sha1  map[[sha1.Size]byte]place // keys by SHA-1
	certs []*certRevocation
}

// place is a line of a file, or a file that has no lines.
type place struct {
	file string
	line int
}

func (p place) String() string {
	if p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d", p.file, p.line)
}

// fingerprint is a key's SHA-256 as ssh-keygen -l prints it.
func fingerprint(sum []byte) string { return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum) }

// ParseRevoked reads a revocation list. Each line is one of
//
//	ssh-ed25519 AAAA… comment    a public key, as ssh-keygen -r takes it
//	SHA256:base64                a key's fingerprint, as ssh-keygen -l prints it
//	sha256:hex                   a bundle: the SHA-256 of the file, of its object or
//	                             of its signed text
//
// A revoked key takes with it the certificates for it, and those that it has signed
// as an authority. OpenSSH's binary lists (KRL, ssh-keygen -k) are read too; they also
// revoke certificates by serial number and by identity.
func ParseRevoked(file string, data []byte) (*Revocations, error) {
	if bytes.HasPrefix(data, []byte(krlMagic)) {
		return parseKRL(file, data)
	}
	r := newRevocations()
	err := eachLine(file, data, func(n int, line string) error {
		at := place{file, n}
		word, _ := firstWord(line)
		if fp, ok := strings.CutPrefix(word, "SHA256:"); ok {
			if b, err := base64.RawStdEncoding.DecodeString(fp); err != nil || len(b) != 32 {
				return fmt.Errorf("%.60q is no fingerprint", word)
			}
			r.keys[word] = at
			return nil
		}
		if sum, ok := strings.CutPrefix(word, "sha256:"); ok {
			b, err := hex.DecodeString(sum)
			if err != nil || len(b) != 32 {
				return fmt.Errorf("%.80q is no SHA-256", word)
			}
			r.digests[[32]byte(b)] = at
			return nil
		}
		if !isKeyType(line) {
			return errors.New("neither a public key, nor SHA256:… nor sha256:…")
		}
		key, _, err := parseKey(line)
		if err != nil {
			return err
		}
		r.keys[ssh.FingerprintSHA256(key)] = at
		return nil
	})
	return r, err
}

func newRevocations() *Revocations {
	return &Revocations{
		keys: make(map[string]place), digests: make(map[[32]byte]place), sha1: make(map[[sha1.Size]byte]place),
	}
}

// merge adds what other revokes.
func (r *Revocations) merge(other *Revocations) {
	for k, at := range other.keys {
		r.keys[k] = at
	}
	for d, at := range other.digests {
		r.digests[d] = at
	}
	for k, at := range other.sha1 {
		r.sha1[k] = at
	}
	r.certs = append(r.certs, other.certs...)
}

// key returns where a key is revoked; of a certificate, it itself, its key or its
// authority.
func (r *Revocations) key(k ssh.PublicKey) (place, bool) {
	if c, ok := k.(*ssh.Certificate); ok {
		if at, ok := r.plain(c.SignatureKey); ok {
			return at, true
		}
		authority := c.SignatureKey.Marshal()
		for _, cr := range r.certs {
			if cr.revokes(c, authority) {
				return cr.at, true
			}
		}
		k = c.Key
	}
	return r.plain(k)
}

func (r *Revocations) plain(k ssh.PublicKey) (place, bool) {
	if at, ok := r.keys[ssh.FingerprintSHA256(k)]; ok {
		return at, true
	}
	if len(r.sha1) == 0 {
		return place{}, false
	}
	at, ok := r.sha1[sha1.Sum(k.Marshal())]
	return at, ok
}
