package bundle

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Manifest is the signed text of a bundle. It is generic: it names the script, the
// tool and the object, whose .stap.* sections say everything else and are covered
// by the object's hash.
//
// The text has one line for each field, in this order, ending with a newline:
//
//	stapkit-bundle 1.0
//	script "hello.stp"
//	script-sha256 <64 hex digits>
//	tool "stapkit 0.1.0"
//	elf-length 12456
//	elf-sha256 <64 hex digits>
//	section ".text" 96 <64 hex digits>
//	…
//	x-name "value"
//
// Strings are quoted as in Go, with only printable ASCII left as it is. Lines that
// begin with x- are for additions that a reader may pass over; they are sorted by
// name. A reader refuses any other line that it does not know. There is no time in
// it, so that the same script gives the same bundle.
type Manifest struct {
	// Major and Minor are the version of the manifest's text.
	Major, Minor int
	// Script is the script's name as it was given to the compiler.
	Script string
	// ScriptSHA256 is of the script's bytes.
	ScriptSHA256 [32]byte
	// Tool is the name and version of what wrote the bundle.
	Tool string
	// ELFLength and ELFSHA256 are of the whole object.
	ELFLength int64
	ELFSHA256 [32]byte
	// Sections lists the object's sections in file order, for people and for
	// comparing two bundles: the object's hash covers them anyway.
	Sections []SectionInfo
	// Fields are the x- lines, sorted by name.
	Fields []Field
}

// SectionInfo is one section of the object. Size is in bytes, in memory; a section
// without bytes in the file (.bss) has the hash of nothing.
type SectionInfo struct {
	Name   string
	Size   int64
	SHA256 [32]byte
}

// Field is an additional line. Name starts with "x-", followed by lower-case
// letters, digits and dashes.
type Field struct {
	Name, Value string
}

const (
	manifestMagic = "stapkit-bundle"
	maxString     = 4096 // bytes of a quoted string in a manifest
	maxFields     = 256
)

// Text returns the canonical text.
func (m *Manifest) Text() ([]byte, error) {
	for _, s := range []string{m.Script, m.Tool} {
		if err := checkString(s); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %d.%d\n", manifestMagic, m.Major, m.Minor)
	fmt.Fprintf(&b, "script %s\n", strconv.QuoteToASCII(m.Script))
	fmt.Fprintf(&b, "script-sha256 %x\n", m.ScriptSHA256)
	fmt.Fprintf(&b, "tool %s\n", strconv.QuoteToASCII(m.Tool))
	fmt.Fprintf(&b, "elf-length %d\n", m.ELFLength)
	fmt.Fprintf(&b, "elf-sha256 %x\n", m.ELFSHA256)
	if len(m.Sections) > maxSections {
		return nil, fmt.Errorf("bundle: %d sections", len(m.Sections))
	}
	for _, s := range m.Sections {
		if err := checkString(s.Name); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "section %s %d %x\n", strconv.QuoteToASCII(s.Name), s.Size, s.SHA256)
	}
	if len(m.Fields) > maxFields {
		return nil, fmt.Errorf("bundle: %d fields in the manifest", len(m.Fields))
	}
	for i, f := range m.Fields {
		if !fieldName(f.Name) {
			return nil, fmt.Errorf("bundle: %q cannot name a manifest field", f.Name)
		}
		if i > 0 && f.Name <= m.Fields[i-1].Name {
			return nil, fmt.Errorf("bundle: manifest field %q is not in order", f.Name)
		}
		if err := checkString(f.Value); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s %s\n", f.Name, strconv.QuoteToASCII(f.Value))
	}
	if b.Len() > maxManifest {
		return nil, fmt.Errorf("bundle: the manifest has %d bytes", b.Len())
	}
	return b.Bytes(), nil
}

func checkString(s string) error {
	if len(s) > maxString {
		return fmt.Errorf("bundle: a string of %d bytes in the manifest", len(s))
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("bundle: %q in the manifest is not UTF-8", s)
	}
	return nil
}

func fieldName(s string) bool {
	rest, ok := strings.CutPrefix(s, "x-")
	if !ok || rest == "" || len(s) > 64 {
		return false
	}
	return strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// ParseManifest reads the canonical text, and only that. The error is a
// *VersionError or wraps ErrFormat.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) > maxManifest {
		return nil, damaged("the manifest has %d bytes", len(text))
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 2 || lines[len(lines)-1] != "" {
		return nil, damaged("the manifest does not end with a line")
	}
	lines = lines[:len(lines)-1]
	m := &Manifest{}
	version, ok := strings.CutPrefix(lines[0], manifestMagic+" ")
	if !ok {
		return nil, damaged("the manifest begins with %.40q", lines[0])
	}
	if n, err := fmt.Sscanf(version, "%d.%d", &m.Major, &m.Minor); n != 2 || err != nil {
		return nil, damaged("the manifest has version %.40q", version)
	}
	if m.Major != Major {
		return nil, &VersionError{"manifest", m.Major, m.Minor}
	}

	const order = "script script-sha256 tool elf-length elf-sha256 "
	next := order
	for i, line := range lines[1:] {
		key, value, _ := strings.Cut(line, " ")
		var err error
		switch {
		case next != "":
			if !strings.HasPrefix(next, key+" ") {
				return nil, damaged("manifest line %d: %.40q", i+2, line)
			}
			next = next[len(key)+1:]
			switch key {
			case "script":
				m.Script, err = unquote(value)
			case "script-sha256":
				err = unhex(m.ScriptSHA256[:], value)
			case "tool":
				m.Tool, err = unquote(value)
			case "elf-length":
				m.ELFLength, err = strconv.ParseInt(value, 10, 64)
			case "elf-sha256":
				err = unhex(m.ELFSHA256[:], value)
			}
		case key == "section":
			var s SectionInfo
			s, err = parseSection(value)
			m.Sections = append(m.Sections, s)
		case strings.HasPrefix(key, "x-"):
			f := Field{Name: key}
			f.Value, err = unquote(value)
			m.Fields = append(m.Fields, f)
		case !fieldName("x-" + key):
			return nil, damaged("manifest line %d: %.40q", i+2, line)
		default:
			return nil, &VersionError{What: fmt.Sprintf("manifest field %.40q", key)}
		}
		if err != nil {
			return nil, damaged("manifest line %d: %v", i+2, err)
		}
	}
	if next != "" {
		return nil, damaged("the manifest lacks %s", strings.Fields(next)[0])
	}
	// One text for one manifest: whatever reads differently is not canonical.
	again, err := m.Text()
	if err != nil {
		return nil, damaged("%v", err)
	}
	if !bytes.Equal(again, text) {
		return nil, damaged("the manifest is not in its canonical form")
	}
	return m, nil
}

func parseSection(value string) (SectionInfo, error) {
	var s SectionInfo
	quoted, err := strconv.QuotedPrefix(value)
	if err != nil {
		return s, err
	}
	if s.Name, err = unquote(quoted); err != nil {
		return s, err
	}
	size, sum, ok := strings.Cut(strings.TrimPrefix(value[len(quoted):], " "), " ")
	if !ok {
		return s, fmt.Errorf("section %q has no hash", s.Name)
	}
	if s.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return s, err
	}
	return s, unhex(s.SHA256[:], sum)
}

func unquote(s string) (string, error) {
	out, err := strconv.Unquote(s)
	if err != nil {
		return "", fmt.Errorf("%.40q is not a quoted string", s)
	}
	return out, nil
}

func unhex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%.80q is not a hash", s)
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}
