package trust

import (
	"fmt"

	"stapkit/bundle"
	"stapkit/diag"
)

// Kind is the outcome of a verification.
type Kind uint8

// The verdicts.
const (
	Altered     Kind = iota // damaged, or changed after it was signed; the zero value
	OK                      // signed by an allowed signer
	Unsigned                // whole, and never signed
	Untrusted               // signed by a key that is not allowed to
	Expired                 // outside of the time in which the signer is allowed
	Revoked                 // the key or the bundle is on a revocation list
	WrongKernel             // not for this kernel: required probes or features are missing
	Refused                 // against the policy of this host
	Unsupported             // made for a newer stapkit
)

// kinds lists for each verdict its word, exit code and diagnostic code.
var kinds = [...]struct {
	word string
	exit int
	code diag.Code
}{
	Altered:     {"altered", 24, codeAltered},
	OK:          {"ok", 0, ""},
	Unsigned:    {"unsigned", 20, codeUnsigned},
	Untrusted:   {"untrusted", 21, codeUntrusted},
	Expired:     {"expired", 22, codeExpired},
	Revoked:     {"revoked", 23, codeRevoked},
	WrongKernel: {"not for this kernel", 25, codeWrongKernel},
	Refused:     {"refused by policy", 26, codeRefused},
	Unsupported: {"unsupported", 27, codeUnsupported},
}

// String returns the verdict in words, such as "altered".
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].word
	}
	return fmt.Sprintf("verdict(%d)", uint8(k))
}

// ExitCode returns the exit status of a tool that stops at this verdict: 0 for OK,
// else a number from 20 on that no other verdict has.
func (k Kind) ExitCode() int {
	if int(k) < len(kinds) {
		return kinds[k].exit
	}
	return kinds[Altered].exit
}

// Code returns the diagnostic code, "" for OK.
func (k Kind) Code() diag.Code {
	if int(k) < len(kinds) {
		return kinds[k].code
	}
	return codeAltered
}

// Verdict is the outcome for one bundle.
type Verdict struct {
	Kind Kind
	// Reason says why, in one line without the verdict's own word.
	Reason string
	// Principal is who signed: the patterns of the allowed_signers line, or the
	// matching principal of a certificate. Only with OK.
	Principal string
	// Key is the fingerprint of the key that the verdict is about, and Source
	// the file:line that allows or revokes it; "" where there is none.
	Key, Source string
	// Bundle is the bundle taken apart, nil where it could not be.
	Bundle *bundle.Bundle
	// Signatures is what each signature comes to by itself, if all of them verify.
	Signatures []Verdict
}

// String returns the verdict in one line: "altered: the file does not end …".
func (v Verdict) String() string {
	if v.Reason == "" {
		return v.Kind.String()
	}
	return v.Kind.String() + ": " + v.Reason
}

// ForKernel returns the verdict that v becomes when the bundle cannot run on the
// kernel of this host. Only an OK or Unsigned verdict changes: what is wrong with
// the file comes first.
func (v Verdict) ForKernel(reason string) Verdict { return v.replace(WrongKernel, reason) }

// ByPolicy returns the verdict that v becomes when the host's policy refuses the
// bundle.
func (v Verdict) ByPolicy(reason string) Verdict { return v.replace(Refused, reason) }

func (v Verdict) replace(k Kind, reason string) Verdict {
	if v.Kind == OK || v.Kind == Unsigned {
		v.Kind, v.Reason = k, reason
	}
	return v
}
