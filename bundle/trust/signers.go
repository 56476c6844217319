package trust

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Signer is a line of an allowed_signers file: a key, or a certificate authority,
// and what it may sign.
type Signer struct {
	// Principals are the patterns of who signs with the key (USER@DOMAIN).
	Principals []string
	// Key is the public key, or that of the certificate authority.
	Key ssh.PublicKey
	// CertAuthority says that Key signs certificates, not bundles.
	CertAuthority bool
	// Namespaces are the patterns of the signature namespaces; none means all.
	Namespaces []string
	// ValidAfter and ValidBefore bound the time in which signatures are taken;
	// the zero time is no bound.
	ValidAfter, ValidBefore time.Time
	// Comment is what follows the key.
	Comment string
	// File and Line are where it stands.
	File string
	Line int
}

// maxSigners bounds the lines of one file that hold a key.
const maxSigners = 100000

// ParseAllowedSigners reads an allowed_signers file as ssh-keygen(1) describes it in
// ALLOWED SIGNERS. Unlike ssh-keygen it does not pass over a line that it cannot
// read: the error names it.
func ParseAllowedSigners(file string, data []byte) ([]Signer, error) {
	var out []Signer
	err := eachLine(file, data, func(n int, line string) error {
		if len(out) == maxSigners {
			return errors.New("too many keys")
		}
		s, err := parseSigner(line)
		if err != nil {
			return err
		}
		s.File, s.Line = file, n
		out = append(out, s)
		return nil
	})
	return out, err
}

// eachLine calls do with the lines that are not empty and no comment.
func eachLine(file string, data []byte, do func(n int, line string) error) error {
	for i, raw := range bytes.Split(data, []byte("\n")) {
		line := strings.Trim(string(raw), " \t\r")
		if line == "" || line[0] == '#' {
			continue
		}
		var err error
		if strings.ContainsRune(line, 0) {
			err = errors.New("zero byte")
		} else {
			err = do(i+1, line)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
	}
	return nil
}

func parseSigner(line string) (Signer, error) {
	var s Signer
	principals, rest, err := cutWord(line)
	if err != nil {
		return s, fmt.Errorf("principals: %w", err)
	}
	s.Principals = patterns(principals)
	if len(s.Principals) == 0 {
		return s, errors.New("no principals")
	}
	// Options are optional, and only what follows tells: a key, or more words.
	if !isKeyType(rest) {
		options, after, err := cutWord(rest)
		if err != nil {
			return s, fmt.Errorf("options: %w", err)
		}
		if err := s.parseOptions(options); err != nil {
			return s, err
		}
		rest = after
	}
	if s.Key, s.Comment, err = parseKey(rest); err != nil {
		return s, err
	}
	return s, nil
}

// cutWord splits off the first word. Quotes keep blanks together, and a backslash
// keeps a quote within quotes; they stay in the word.
func cutWord(s string) (word, rest string, err error) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(s) && s[i+1] == '"':
			i++
		case (c == ' ' || c == '\t') && !quoted:
			return s[:i], strings.TrimLeft(s[i:], " \t"), nil
		}
	}
	if quoted {
		return "", "", errors.New("a quote is not closed")
	}
	return s, "", nil
}

// unquote strips the quotes around s and the backslashes before quotes.
func unquote(s string) (string, error) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", fmt.Errorf("%.60s must be in quotes", s)
	}
	return strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`), nil
}

// patterns splits a comma-separated pattern list, which may be quoted as a whole.
func patterns(s string) []string {
	if u, err := unquote(s); err == nil {
		s = u
	}
	var out []string
	for _, p := range strings.Split(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// isKeyType reports whether s begins with the name of a key type.
func isKeyType(s string) bool {
	word, rest := firstWord(s)
	switch word {
	case ssh.KeyAlgoRSA, "ssh-dss", ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoSKED25519:
		return rest != ""
	}
	return strings.HasSuffix(word, "@openssh.com") && strings.Contains(word, "-cert-v01")
}

// parseKey reads "type base64 comment".
func parseKey(s string) (ssh.PublicKey, string, error) {
	key, comment, options, more, err := ssh.ParseAuthorizedKey([]byte(s))
	if err != nil || len(options) != 0 || len(more) != 0 {
		return nil, "", fmt.Errorf("no public key in %.60q", s)
	}
	if typ, _ := firstWord(s); typ != key.Type() {
		return nil, "", fmt.Errorf("the key is %s and the line says %.40q", key.Type(), typ)
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return nil, "", errors.New("a certificate where a key belongs; list the authority with cert-authority")
	}
	return key, comment, nil
}

// firstWord splits off what comes before the first blank or tab.
func firstWord(s string) (word, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

func (s *Signer) parseOptions(options string) error {
	seen := make(map[string]bool)
	for options != "" {
		option, rest := cutOption(options)
		options = rest
		name, value, hasValue := strings.Cut(option, "=")
		name = strings.ToLower(name)
		if seen[name] {
			return fmt.Errorf("option %s is given twice", name)
		}
		seen[name] = true
		if hasValue != (name != "cert-authority") {
			return fmt.Errorf("unknown option %.60q", option)
		}
		var err error
		if hasValue {
			if value, err = unquote(value); err != nil {
				return fmt.Errorf("option %s: %w", name, err)
			}
		}
		switch name {
		case "cert-authority":
			s.CertAuthority = true
		case "namespaces":
			if s.Namespaces = patterns(value); len(s.Namespaces) == 0 {
				return errors.New("option namespaces is empty")
			}
		case "valid-after":
			s.ValidAfter, err = parseTime(value)
		case "valid-before":
			s.ValidBefore, err = parseTime(value)
		default:
			return fmt.Errorf("unknown option %.60q", name)
		}
		if err != nil {
			return fmt.Errorf("option %s: %w", name, err)
		}
	}
	if !s.ValidAfter.IsZero() && !s.ValidBefore.IsZero() && !s.ValidBefore.After(s.ValidAfter) {
		return errors.New("valid-before is not after valid-after")
	}
	return nil
}

// cutOption splits at the first comma outside of quotes.
func cutOption(s string) (option, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// hostZone is the time zone of this host. time.Local would be that of the variable TZ, with
// which whoever starts a program could shift the end of a signer's time.
var hostZone = sync.OnceValue(func() *time.Location {
	data, err := os.ReadFile("/etc/localtime")
	if err != nil {
		if runtime.GOOS == "windows" {
			return time.Local // which does not ask the environment there
		}
		return time.UTC
	}
	zone, err := time.LoadLocationFromTZData("Local", data)
	if err != nil {
		return time.UTC
	}
	return zone
})

// parseTime reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, in this host's time unless a
// Z follows.
func parseTime(s string) (time.Time, error) {
	text, utc := strings.CutSuffix(s, "Z")
	if !utc {
		text, utc = strings.CutSuffix(s, "z")
	}
	loc := hostZone()
	if utc {
		loc = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(text) == len(layout) && strings.Trim(text, "0123456789") == "" {
			return time.ParseInLocation(layout, text, loc)
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not a time (YYYYMMDD[HHMM[SS]][Z])", s)
}

// matchList reports whether s matches a pattern list: one of the patterns and none
// of those that a ! negates.
func matchList(list []string, s string) bool {
	ok := false
	for _, p := range list {
		if neg, found := strings.CutPrefix(p, "!"); found {
			if matchPattern(neg, s) {
				return false
			}
		} else if matchPattern(p, s) {
			ok = true
		}
	}
	return ok
}

// matchPattern matches with * for any run of bytes and ? for one.
func matchPattern(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
