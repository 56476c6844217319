package trust

import (
	"bytes"
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
}

// place is a line of a file.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// ParseRevoked reads a revocation list. Each line is one of
//
//	ssh-ed25519 AAAA… comment    a public key, as ssh-keygen -r takes it
//	SHA256:base64                a key's fingerprint, as ssh-keygen -l prints it
//	sha256:hex                   a bundle: the SHA-256 of the file, of its object or
//	                             of its signed text
//
// A revoked key takes with it the certificates for it, and those that it has signed
// as an authority. OpenSSH's binary revocation lists (KRL) are refused, not ignored.
func ParseRevoked(file string, data []byte) (*Revocations, error) {
	r := newRevocations()
	if bytes.HasPrefix(data, []byte("SSHKRL\n\x00")) {
		return nil, fmt.Errorf("%s: binary revocation lists are not supported; list the keys as text", file)
	}
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
	return &Revocations{keys: make(map[string]place), digests: make(map[[32]byte]place)}
}

// merge adds what other revokes.
func (r *Revocations) merge(other *Revocations) {
	for k, at := range other.keys {
		r.keys[k] = at
	}
	for d, at := range other.digests {
		r.digests[d] = at
	}
}

// key returns where a key, the key of a certificate or its authority is revoked.
func (r *Revocations) key(k ssh.PublicKey) (place, bool) {
	if c, ok := k.(*ssh.Certificate); ok {
		if at, ok := r.keys[ssh.FingerprintSHA256(c.SignatureKey)]; ok {
			return at, true
		}
		k = c.Key
	}
	at, ok := r.keys[ssh.FingerprintSHA256(k)]
	return at, ok
}
