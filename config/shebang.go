package config

import (
	"bytes"
	"path/filepath"
	"strings"
)

// maxLine bounds the first line, as Linux does.
const maxLine = 4096

// flags are stap's short options; with a value it is the rest of the word, or the
// next word.
const (
	shortAlone = "hVvkgPuwWbitnFq"
	shortValue = "pmTcxoDGIErsSRBadlLC"
)

// Shebang gives the settings of a script's first line, "#! /usr/bin/stap OPTIONS".
// Options that say nothing about how a script is read are passed over. Relative
// directories are relative to the script.
func Shebang(name string, text []byte) Script {
	var s Script
	line, _, _ := bytes.Cut(text[:min(len(text), maxLine)], []byte("\n"))
	rest, ok := bytes.CutPrefix(line, []byte("#!"))
	if !ok {
		return s
	}
	words := Words(string(rest))
	for len(words) > 0 && !strings.HasPrefix(filepath.Base(words[0]), "stap") {
		words = words[1:] // env, env -S, sudo
	}
	if len(words) == 0 {
		return s
	}
	words = words[1:]
	set := func(option, value string) {
		switch option {
		case "g", "guru":
			s.Guru = true
		case "I", "include":
			if !filepath.IsAbs(value) {
				value = filepath.Join(filepath.Dir(name), value)
			}
			s.Include = append(s.Include, value)
		case "D", "define":
			k, v, ok := strings.Cut(value, "=")
			if !ok {
				v = "1"
			}
			if s.Define == nil {
				s.Define = map[string]string{}
			}
			s.Define[k] = v
		case "G", "global":
			if k, v, ok := strings.Cut(value, "="); ok {
				if s.Global == nil {
					s.Global = map[string]string{}
				}
				s.Global[k] = v
			}
		case "r", "release":
			s.Targets = append(s.Targets, Target{Name: value, Spec: value})
		case "c", "command":
			s.Command = value
		case "compatible":
			s.Compatible = value
		case "privilege":
			s.Privilege = value
		case "unprivileged":
			s.Privilege = "stapusr"
		}
	}
	for i := 0; i < len(words); i++ {
		w := words[i]
		next := func() string {
			if i+1 < len(words) {
				i++
				return words[i]
			}
			return ""
		}
		switch {
		case w == "--":
			s.Args, s.HasArgs = words[i+1:], len(words) > i+1
			return s
		case strings.HasPrefix(w, "--"):
			option, value, given := strings.Cut(w[2:], "=")
			switch option {
			case "include", "define", "global", "release", "command", "expr", "extra", "pass", "module", "timeout", "pid", "output", "buffer":
				if !given {
					value = next()
				}
			}
			set(option, value)
		case strings.HasPrefix(w, "-"):
			for k := 1; k < len(w); k++ {
				c := w[k : k+1]
				if strings.Contains(shortValue, c) {
					value := w[k+1:]
					if value == "" {
						value = next()
					}
					set(c, value)
					break
				}
				if strings.Contains(shortAlone, c) {
					set(c, "")
				}
			}
		}
	}
	return s
}

// Words splits a line as a shell does, quotes and backslashes understood.
func Words(line string) []string {
	var out []string
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			in = true
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, in = c, true
		case c == ' ' || c == '\t' || c == '\r':
			if in {
				out = append(out, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		out = append(out, word.String())
	}
	return out
}
