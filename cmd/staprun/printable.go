//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// printable makes a text that somebody else has chosen, in a bundle that nobody may have signed
// or in a file's name, fit for one line of a terminal: whatever is not printable (ends of
// lines, the beginnings of a terminal's commands, marks that turn the direction of writing,
// what is no UTF-8) is shown as in a string of Go.
func printable(s string) string {
	bad := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if bad(r) {
			q := strconv.QuoteToASCII(s[i : i+n])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// printableAll is printable for each of a list.
func printableAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = printable(s)
	}
	return out
}

// printableLines writes messages of several lines: plain but for their ends.
type printableLines struct{ w io.Writer }

func (p printableLines) Write(b []byte) (int, error) {
	lines := strings.Split(string(b), "\n")
	if _, err := io.WriteString(p.w, strings.Join(printableAll(lines), "\n")); err != nil {
		return 0, err
	}
	return len(b), nil
}

// printableJSON escapes in JSON what package json leaves and a terminal does not only show. It
// stands in strings alone, all else being ASCII.
func printableJSON(b []byte) []byte {
	if bytes.IndexFunc(b, unshown) < 0 {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) { // json has made it valid UTF-8
		if !unshown(r) {
			out.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, u)
		}
	}
	return out.Bytes()
}

func unshown(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
