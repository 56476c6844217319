package families

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"stapkit/syntax"
)

// A Joint is several scripts as one: loading, attaching and ending one takes a guest less
// than each alone. Their variables keep apart, and so do their calls, which sizes tell that
// no other script has.
type Joint struct {
	Script
	Of []Script
}

// Join joins what can be joined, and gives the others back.
func Join(list []Script) (joints []Joint, alone []Script) {
	guru, plain := &Joint{}, &Joint{}
	numbers := map[*Joint]map[string]bool{guru: {}, plain: {}}
	type part struct{ hits, end []Script }
	parts := map[*Joint]*part{guru: {}, plain: {}}
	for _, s := range list {
		j := plain
		if s.Guru {
			j = guru
		}
		sizes, atEnd, ok := joinable(&s)
		if !ok || slices.ContainsFunc(sizes, func(n string) bool { return numbers[j][n] }) {
			alone = append(alone, s)
			continue
		}
		for _, n := range sizes {
			numbers[j][n] = true
		}
		j.Of = append(j.Of, s)
		if atEnd {
			parts[j].end = append(parts[j].end, s)
		} else {
			parts[j].hits = append(parts[j].hits, s)
		}
	}
	for _, j := range []*Joint{plain, guru} {
		if len(j.Of) < 2 {
			alone = append(alone, j.Of...)
			continue
		}
		// Handlers print in the order of the calls, end probes in that of the script.
		var texts, commands, outputs []string
		for i, s := range append(parts[j].hits, parts[j].end...) {
			texts = append(texts, apart(s.Text, fmt.Sprintf("_%d", i)))
			commands = append(commands, s.Command)
			outputs = append(outputs, s.output())
		}
		j.Name, j.Guru = "together", j == guru
		if j.Guru {
			j.Name = "together, guru"
		}
		j.Text = strings.Join(texts, "\n")
		j.Command = strings.Join(commands, " ")
		j.Match = "^" + strings.Join(outputs, "") + "$"
		joints = append(joints, *j)
	}
	return joints, alone
}

// output is a regular expression for all that a script prints.
func (s *Script) output() string {
	if s.Match == "" {
		return regexp.QuoteMeta(s.Want)
	}
	m, begins := strings.CutPrefix(s.Match, "^")
	m, ends := strings.CutSuffix(m, "$")
	m = "(?:" + m + ")"
	if !begins {
		m = ".*?" + m
	}
	if !ends {
		m += ".*?"
	}
	return m
}

// joined are the families whose points a joint may have: nothing that goes off by itself.
var joined = []string{"kernel", "kprobe", "module", "never", "procfs", "end"}

// joinable reports whether a script does nothing to others beside it: it reads and writes
// sizes that its text tells from all others, prints either at its hits or at its end, and
// does not end the session. The sizes are told by their last three digits, as texts have them.
func joinable(s *Script) (sizes []string, atEnd, ok bool) {
	if s.Command == "" || s.Input != "" || len(s.Args) > 0 || s.Err != "" || s.Noisy || s.Code != 0 {
		return nil, false, false
	}
	command := strings.Fields(s.Command)
	if len(command)%3 != 0 {
		return nil, false, false
	}
	for i := 0; i < len(command); i += 3 {
		size := command[i+2]
		if (command[i] != "read" && command[i] != "write") || len(size) < 3 || !strings.Contains(s.Text, size[len(size)-3:]) {
			return nil, false, false
		}
		if size = size[len(size)-3:]; !slices.Contains(sizes, size) {
			sizes = append(sizes, size)
		}
	}
	f := syntax.ParseFile(s.Name, []byte(s.Text), syntax.Options{View: syntax.Expanded})
	ok = len(f.Diags) == 0
	at := map[bool]bool{} // where something is printed
	for _, d := range f.Decls {
		p, isProbe := d.(*syntax.ProbeDecl)
		if !isProbe {
			continue
		}
		end := false
		syntax.Inspect(p, func(n syntax.Node) bool {
			if pp, isPoint := n.(*syntax.ProbePoint); isPoint && len(pp.Components) > 0 {
				ok = ok && slices.Contains(joined, pp.Components[0].Name)
				end = end || pp.Components[0].Name == "end"
			}
			return true
		})
		for i := p.First(); i <= p.Last(); i++ {
			switch name := f.Text(i); {
			case f.Tokens[i].Kind != syntax.Name:
			case name == "exit" || name == "error" || name == "abort" || name == "target_set_pid":
				ok = false
			case strings.HasPrefix(name, "print"):
				at[end] = true
			}
		}
	}
	return sizes, at[true], ok && len(at) == 1
}

// apart gives the global variables and functions of a script names that end in a suffix.
func apart(text, suffix string) string {
	f := syntax.ParseFile("apart", []byte(text), syntax.Options{View: syntax.SourceView})
	own := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *syntax.GlobalDecl:
			for _, v := range d.Vars {
				own[v.Name.Name] = true
			}
		case *syntax.FuncDecl:
			own[d.Name.Name] = true
		}
	}
	var out strings.Builder
	from := int32(0)
	last := syntax.EOF
	for _, t := range f.Raw {
		word := text[t.Off:t.End]
		if t.Kind == syntax.Name && own[word] && last != syntax.Dot && last != syntax.Arrow {
			out.WriteString(text[from:t.End] + suffix)
			from = t.End
		}
		if t.Kind != syntax.Comment {
			last = t.Kind
		}
	}
	return out.String() + text[from:]
}
