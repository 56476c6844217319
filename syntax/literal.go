package syntax

import (
	"strconv"
	"strings"
)

// parseNumber reads an integer as C's strtoull with base 0 does: decimal, 0x hex or
// 0 octal, up to 2^64-1, wrapped to signed.
func parseNumber(s string) (int64, bool) {
	base, digits := 10, s
	switch {
	case len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X'):
		base, digits = 16, s[2:]
	case len(s) > 1 && s[0] == '0':
		base, digits = 8, s[1:]
	}
	u, err := strconv.ParseUint(digits, base, 64)
	if err != nil || strings.IndexByte(digits, '_') >= 0 {
		return 0, false
	}
	return int64(u), true
}

// rawString strips the quotes of a string token and the backslash of escapes that C
// does not know, as SystemTap's lexer does before it hands the text to C.
func rawString(tok string) string {
	if !strings.HasPrefix(tok, `"`) { // curly quotes, reported by the lexer
		tok = strings.TrimFunc(tok, func(r rune) bool { return r >= 0x2018 && r <= 0x201f || r == '"' })
		return tok
	}
	body := tok[1:]
	if strings.HasSuffix(body, `"`) && !endsEscaped(body[:len(body)-1]) {
		body = body[:len(body)-1]
	}
	if strings.IndexByte(body, '\\') < 0 {
		return body
	}
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c != '\\' || i+1 >= len(body) {
			b.WriteByte(c)
			continue
		}
		i++
		if strings.IndexByte(`abtnvfrx01234567\`, body[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(body[i])
	}
	return b.String()
}

// endsEscaped reports whether s ends in an odd number of backslashes.
func endsEscaped(s string) bool {
	n := 0
	for n < len(s) && s[len(s)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// decodeString resolves the escapes of a raw string as a C compiler does: up to
// three octal digits, hexadecimal digits without limit (the low byte counts).
func decodeString(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw
	}
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' || i+1 >= len(raw) {
			b = append(b, c)
			continue
		}
		i++
		switch c = raw[i]; c {
		case 'a':
			c = 7
		case 'b':
			c = 8
		case 't':
			c = 9
		case 'n':
			c = 10
		case 'v':
			c = 11
		case 'f':
			c = 12
		case 'r':
			c = 13
		case 'x':
			v, n := 0, 0
			for i+1 < len(raw) && hexVal(raw[i+1]) >= 0 {
				v = v<<4&0xff | hexVal(raw[i+1])
				i++
				n++
			}
			if n > 0 {
				c = byte(v)
			}
		case '0', '1', '2', '3', '4', '5', '6', '7':
			v := int(c - '0')
			for n := 1; n < 3 && i+1 < len(raw) && raw[i+1] >= '0' && raw[i+1] <= '7'; n++ {
				i++
				v = v<<3 | int(raw[i]-'0')
			}
			c = byte(v)
		}
		b = append(b, c)
	}
	return string(b)
}

func hexVal(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
