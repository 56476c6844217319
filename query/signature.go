package query

import (
	"strings"

	"stapkit/format"
	"stapkit/syntax"
)

// A Signature is one way to call what the cursor is in the parentheses of.
type Signature struct {
	Label  string
	Params [][2]int // spans in Label, in bytes
	Doc    string   // Markdown
	// ParamDocs are texts of the parameters, where there are any.
	ParamDocs []string
}

// Signatures are the ways to call, with the one that fits and the argument at hand.
type Signatures struct {
	List   []Signature
	Active int
	Param  int
}

// Signatures describes the call around an offset, nil outside of one.
func (s *Snapshot) Signatures(off int) *Signatures {
	raw := s.File.Raw
	i := s.lastBefore(off)
	if i >= 0 && raw[i].Kind == syntax.Comment && off <= int(raw[i].End) {
		return nil
	}
	arg, depth := 0, 0
	for ; i >= 0; i-- {
		switch raw[i].Kind {
		case syntax.RParen, syntax.RBrack:
			if int(raw[i].End) <= off {
				depth++
			}
			continue
		case syntax.LBrack:
			if depth == 0 {
				arg = 0 // an index within an argument
				continue
			}
			depth--
			continue
		case syntax.Comma:
			if depth == 0 {
				arg++
			}
			continue
		case syntax.Semi, syntax.LBrace, syntax.RBrace:
			return nil
		case syntax.LParen:
			if depth > 0 {
				depth--
				continue
			}
		default:
			continue
		}
		head := s.before(i)
		if head < 0 {
			return nil
		}
		if sig := s.signaturesOf(head, i, arg); sig != nil {
			return sig
		}
		arg = 0 // plain parentheses; look further out
	}
	return nil
}

func (s *Snapshot) signaturesOf(head, open, arg int) *Signatures {
	name := s.File.RawText(head)
	switch s.File.Raw[head].Kind {
	case syntax.AtWord:
		bare := strings.TrimPrefix(name, "@")
		if m := s.macro(bare); m != nil {
			sig := Signature{Label: name + "("}
			for i, p := range m.Params {
				if i > 0 {
					sig.Label += ", "
				}
				sig.Params = append(sig.Params, [2]int{len(sig.Label), len(sig.Label) + len(p)})
				sig.Label += p
			}
			sig.Label += ")"
			if d := s.macroDoc(m); d != nil {
				sig.Doc = d.Markdown()
			}
			return &Signatures{List: []Signature{sig}, Param: arg}
		}
		d, ok := atDoc[bare]
		if !ok {
			d, ok = statDoc[bare]
		}
		if !ok {
			return nil
		}
		return &Signatures{List: []Signature{form(d)}, Param: arg}
	case syntax.Name:
	default:
		return nil
	}
	if s.where(s.before(head)) == inHeader {
		return nil
	}
	if isPrint(name) {
		return s.printSignature(name, open, arg)
	}
	fs := s.Functions(name)
	if len(fs) == 0 {
		return nil
	}
	out := &Signatures{Param: arg, Active: -1}
	for i, f := range fs {
		label, spans := f.signature()
		label = strings.TrimPrefix(label, "function ")
		cut := len("function ")
		sig := Signature{Label: label}
		for _, sp := range spans {
			sig.Params = append(sig.Params, [2]int{sp[0] - cut, sp[1] - cut})
		}
		if f.Doc != nil {
			sig.Doc = f.Doc.Markdown()
			for _, p := range f.Params {
				text := ""
				for _, d := range f.Doc.Params {
					if d.Name == p.Name {
						text = d.Text
					}
				}
				sig.ParamDocs = append(sig.ParamDocs, text)
			}
		}
		if out.Active < 0 && arg < max(len(f.Params), 1) {
			out.Active = i
		}
		out.List = append(out.List, sig)
	}
	out.Active = max(out.Active, 0)
	return out
}

// form makes a signature of a form as words.go has them: what is between parentheses,
// parted by commas.
func form(d [2]string) Signature {
	sig := Signature{Label: d[0], Doc: d[1]}
	open := strings.IndexByte(d[0], '(')
	end := strings.LastIndexByte(d[0], ')')
	if open < 0 || end < open {
		return sig
	}
	start := open + 1
	for i := start; i <= end; i++ {
		if d[0][i] == ',' || i == end {
			a, b := start, i
			for a < b && strings.IndexByte(" [", d[0][a]) >= 0 {
				a++
			}
			for b > a && strings.IndexByte(" [", d[0][b-1]) >= 0 {
				b--
			}
			sig.Params = append(sig.Params, [2]int{a, b})
			start = i + 1
		}
	}
	return sig
}

// printSignature shows what the directives of a format that is written already take.
func (s *Snapshot) printSignature(name string, open, arg int) *Signatures {
	d := printDoc[name]
	plain := &Signatures{List: []Signature{form(d)}, Param: arg}
	raw := s.File.Raw
	if !strings.HasSuffix(name, "f") {
		n := len(plain.List[0].Params)
		plain.Param = min(arg, n-1)
		return plain
	}
	k := open + 1
	for k < len(raw) && raw[k].Kind == syntax.Comment {
		k++
	}
	if arg == 0 || k >= len(raw) || raw[k].Kind != syntax.String {
		return plain
	}
	text := strings.TrimSuffix(strings.TrimPrefix(s.File.RawText(k), `"`), `"`)
	f, err := format.Parse(text)
	if err != nil {
		return plain
	}
	sig := Signature{Label: name + "(", Doc: d[1]}
	add := func(label, doc string) {
		if len(sig.Params) > 0 {
			sig.Label += ", "
		}
		sig.Params = append(sig.Params, [2]int{len(sig.Label), len(sig.Label) + len(label)})
		sig.ParamDocs = append(sig.ParamDocs, doc)
		sig.Label += label
	}
	add(`"`+text+`"`, "the format")
	for _, dir := range f.Directives {
		if dir.Width == format.Star {
			add("width: long", "of "+dir.String())
		}
		if dir.Prec == format.Star {
			add("precision: long", "of "+dir.String())
		}
		if dir.Conv != format.Text {
			add(dir.String()+": "+dir.Conv.Type().String(), directiveText(dir))
		}
	}
	sig.Label += ")"
	return &Signatures{List: []Signature{sig}, Param: arg}
}
