// Package trust decides whether a bundle may run: whose signature it carries, and
// whether the files of this host allow that signer.
//
// # Files
//
// In /etc/stapkit and /usr/lib/stapkit:
//
//	allowed_signers, allowed_signers.d/*   who may sign (ssh-keygen(1), ALLOWED SIGNERS)
//	revoked, revoked.d/*                   keys and bundles that no longer count
//
// A file of allowed signers in /etc hides the file of the same name in /usr/lib; an
// empty one, or a link to /dev/null, just hides it. Revocations are never hidden:
// all of them count. Every file, its directory and all directories above must
// belong to root and be writable by nobody else, and only regular files are read.
// Names in allowed_signers.d are letters, digits, dashes and underscores; others,
// such as what editors and package managers leave behind, are passed over. Every
// name in revoked.d counts.
//
// The paths are fixed: neither the environment nor an option can lead a tool that
// runs as root to other files.
//
// # Order
//
// A bundle that is not whole is Altered, whatever it claims. Then come revoked
// bundles, missing signatures, and signatures that do not verify, which make the
// bundle Altered even if another one does. Among good signatures one by an allowed
// signer is enough; otherwise the verdict is the gravest of Revoked, Expired and
// Untrusted.
package trust

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"stapkit/bundle"
)

// Store is whom this host trusts.
type Store struct {
	signers []Signer
	revoked *Revocations
	// where names the files or directories that were looked at, for messages.
	where string
}

// NewStore returns a store of the given signers and revocations; revoked may be nil.
// where says in messages where they come from.
func NewStore(where string, signers []Signer, revoked *Revocations) *Store {
	s := &Store{signers: signers, revoked: newRevocations(), where: where}
	if revoked != nil {
		s.revoked.merge(revoked)
	}
	return s
}

// Signers returns the allowed signers.
func (s *Store) Signers() []Signer { return s.signers }

// Verify judges the bytes of a bundle against the store at a time. The caller must
// go on with Verdict.Bundle, or the very same bytes, and never read the file again.
func Verify(data []byte, store *Store, now time.Time) Verdict {
	b, err := bundle.Parse(data)
	if err != nil {
		var newer *bundle.VersionError
		if errors.As(err, &newer) {
			return Verdict{Kind: Unsupported, Reason: err.Error()}
		}
		return Verdict{Kind: Altered, Reason: err.Error()}
	}
	v := Verdict{Bundle: b}

	for _, d := range []struct {
		what string
		sum  [32]byte
	}{
		{"file", sha256.Sum256(data)}, {"object", b.Manifest.ELFSHA256}, {"signed text", sha256.Sum256(b.Message)},
	} {
		if at, ok := store.revoked.digests[d.sum]; ok {
			v.Kind, v.Source = Revoked, at.String()
			v.Reason = fmt.Sprintf("%s revokes this bundle by the SHA-256 of its %s", at, d.what)
			return v
		}
	}
	if len(b.Signatures) == 0 {
		if b.Expected {
			v.Kind, v.Reason = Altered, "a signature is expected, and there is none"
		} else {
			v.Kind, v.Reason = Unsigned, "nobody has signed this bundle"
		}
		return v
	}

	keys := make([]ssh.PublicKey, len(b.Signatures))
	for i, sig := range b.Signatures {
		if keys[i], err = sig.Verify(b.Message); err != nil {
			v.Kind, v.Reason = Altered, fmt.Sprintf("signature %d does not verify: %v", i+1, err)
			return v
		}
	}
	best := Verdict{Kind: Untrusted}
	var each []Verdict
	for i, key := range keys {
		o := store.judge(key, now)
		each = append(each, o)
		if i == 0 || grave(o.Kind) > grave(best.Kind) {
			best = o
		}
	}
	best.Bundle, best.Signatures = b, each
	return best
}

// grave orders what signatures may come to; a good one beats all.
func grave(k Kind) int {
	switch k {
	case OK:
		return 4
	case Revoked:
		return 3
	case Expired:
		return 2
	}
	return 1
}

// judge looks up the key of a good signature.
func (s *Store) judge(key ssh.PublicKey, now time.Time) Verdict {
	plain := key
	cert, isCert := key.(*ssh.Certificate)
	if isCert {
		plain = cert.Key
	}
	v := Verdict{Kind: Untrusted, Key: ssh.FingerprintSHA256(plain)}
	if at, ok := s.revoked.key(key); ok {
		v.Kind, v.Source = Revoked, at.String()
		v.Reason = fmt.Sprintf("%s revokes the key %s", at, v.Key)
		return v
	}

	why := ""
	for i := range s.signers {
		e := &s.signers[i]
		var principal string
		var err error
		switch {
		case !e.CertAuthority && sameKey(e.Key, key):
			// A certificate for a listed key does not count, as in ssh-keygen.
			principal = strings.Join(e.Principals, ",")
		case e.CertAuthority && isCert && sameKey(e.Key, cert.SignatureKey):
			principal, err = checkCert(cert, e, now)
		default:
			continue
		}
		if err == nil {
			err = e.allows(now)
		}
		source := place{e.File, e.Line}.String()
		if err == nil {
			return Verdict{
				Kind: OK, Principal: principal, Key: v.Key, Source: source,
				Reason: fmt.Sprintf("signed by %s with %s", principal, v.Key),
			}
		}
		var late *timeError
		if errors.As(err, &late) && v.Kind != Expired {
			v.Kind, v.Source, v.Reason = Expired, source, fmt.Sprintf("%s: the key %s %v", source, v.Key, err)
		} else if why == "" {
			why = fmt.Sprintf("%s: %v", source, err)
		}
	}
	if v.Kind == Untrusted {
		v.Reason = fmt.Sprintf("signed with %s, which is no allowed signer in %s", v.Key, s.where)
		if why != "" {
			v.Reason += " (" + why + ")"
		}
	}
	return v
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// timeError says that the clock is outside of a period of validity.
type timeError struct{ text string }

func (e *timeError) Error() string { return e.text }

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// allows checks what the line restricts beside the key.
func (e *Signer) allows(now time.Time) error {
	if len(e.Namespaces) > 0 && !matchList(e.Namespaces, bundle.Namespace) {
		return fmt.Errorf("the key is not for the namespace %s", bundle.Namespace)
	}
	if !e.ValidAfter.IsZero() && now.Before(e.ValidAfter) {
		return &timeError{"is not valid before " + timeText(e.ValidAfter)}
	}
	if !e.ValidBefore.IsZero() && now.After(e.ValidBefore) {
		return &timeError{"has not been valid since " + timeText(e.ValidBefore)}
	}
	return nil
}

// checkCert checks a certificate whose authority the line lists, and returns the
// first of its principals that the line allows.
func checkCert(c *ssh.Certificate, e *Signer, now time.Time) (string, error) {
	if c.CertType != ssh.UserCert {
		return "", errors.New("the certificate is not a user's")
	}
	if c.Signature == nil || c.Signature.Format == ssh.KeyAlgoRSA {
		return "", errors.New("the certificate is signed with SHA-1")
	}
	principal := ""
	for _, p := range c.ValidPrincipals {
		if matchList(e.Principals, p) {
			principal = p
			break
		}
	}
	if principal == "" {
		return "", fmt.Errorf("the certificate is for none of %s", strings.Join(e.Principals, ","))
	}
	unix := now.Unix()
	if unix < 0 || c.ValidAfter > uint64(unix) {
		return "", &timeError{"is certified only from " + certTime(c.ValidAfter) + " on"}
	}
	if c.ValidBefore != ssh.CertTimeInfinity && uint64(unix) >= c.ValidBefore {
		return "", &timeError{"was certified only until " + certTime(c.ValidBefore)}
	}
	// Signature and critical options; none of those means anything here, so that
	// a certificate restricted by one is for something else.
	checker := ssh.CertChecker{Clock: func() time.Time { return now }}
	if err := checker.CheckCert(principal, c); err != nil {
		return "", err
	}
	return principal, nil
}

func certTime(t uint64) string {
	if t > 1<<40 {
		return "a far future"
	}
	return timeText(time.Unix(int64(t), 0))
}
