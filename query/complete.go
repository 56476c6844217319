package query

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"stapkit/diag"
	"stapkit/format"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target"
	"stapkit/target/btf"
	"stapkit/target/ctype"
	"stapkit/target/dwarf"
)

// An ItemKind is what a completion item is.
type ItemKind uint8

// The kinds of items.
const (
	KeywordItem ItemKind = iota
	FunctionItem
	VariableItem
	GlobalItem
	ParamItem
	TargetItem // "$" variable
	MemberItem
	PointItem // component of a probe point
	EventItem // a probe point is complete with it
	KernelItem
	TypeItem
	ConstantItem
	MacroItem
	FileItem
	FolderItem
	DirectiveItem // of a format
	RuleItem
	SnippetItem
)

// An Item is one thing that can be inserted.
type Item struct {
	Label  string
	Kind   ItemKind
	Detail string // one line: type or signature
	// Insert is the text that replaces Start to End of the Completion; a snippet with
	// tab stops in the notation of the Language Server Protocol when Snippet is set.
	Insert  string
	Snippet bool
	// Filter is what was matched, when it is not Label.
	Filter     string
	Doc        string // Markdown, "" when Resolve has it
	Deprecated bool
	// Data is given to Env.Resolve for detail and documentation.
	Data string

	score int
	class int
}

// A Completion is what can be inserted at a place.
type Completion struct {
	Start, End int // what the item replaces
	Items      []Item
	// Incomplete: there is more, so ask again when more has been typed.
	Incomplete bool
}

// maxItems bounds a list.
const maxItems = 200

type completer struct {
	s    *Snapshot
	ctx  context.Context
	off  int
	word string // what is typed so far
	out  *Completion
	raw  int // last token that ends before the word
}

// Complete lists what can be inserted at an offset, best first.
func (s *Snapshot) Complete(ctx context.Context, off int) *Completion {
	off = min(max(off, 0), len(s.Text))
	c := &completer{s: s, ctx: ctx, off: off, out: &Completion{Start: off, End: off}}
	in := s.lastBefore(off)
	if in >= 0 {
		t := s.File.Raw[in]
		text := s.File.RawText(in)
		switch {
		case t.Kind == syntax.Comment && (off < int(t.End) || off == int(t.End) && !strings.HasPrefix(text, "/*")):
			c.comment(in)
			return c.finish()
		case t.Kind == syntax.String && (off < int(t.End) || t.Flags&syntax.Broken != 0):
			c.raw = in - 1
			c.inString(in)
			return c.finish()
		case t.Kind == syntax.Embedded && off < int(t.End):
			return c.finish()
		}
	}
	start := off
	for start > 0 && isWordByte(s.Text[start-1]) {
		start--
	}
	for start > 0 && (s.Text[start-1] == '$' || s.Text[start-1] == '@' && (start == off || s.Text[start] != '$')) && off-start < 200 {
		start--
	}
	c.setWord(start, isWordByte)
	c.raw = s.lastBefore(start + 1)
	for c.raw >= 0 && int(s.File.Raw[c.raw].End) > start {
		c.raw--
	}
	if start > 0 && start < off && s.Text[start] >= '0' && s.Text[start] <= '9' {
		return c.finish() // a number
	}
	c.code()
	return c.finish()
}

func isWordByte(b byte) bool {
	return b == '_' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}

// setWord sets the stretch that is replaced: from start to the end of the word around
// the cursor.
func (c *completer) setWord(start int, in func(byte) bool) {
	end := c.off
	for end < len(c.s.Text) && in(c.s.Text[end]) {
		end++
	}
	c.out.Start, c.out.End = start, end
	c.word = string(c.s.Text[start:c.off])
}

// lastBefore finds the last token as written that begins before an offset.
func (s *Snapshot) lastBefore(off int) int {
	raw := s.File.Raw
	return sort.Search(len(raw), func(i int) bool { return int(raw[i].Off) >= off || raw[i].Kind == syntax.EOF }) - 1
}

// add offers an item; class orders what matches equally well.
func (c *completer) add(class int, it Item) {
	key := it.Filter
	if key == "" {
		key = it.Label
	}
	score, ok := match(c.word, key)
	if !ok {
		return
	}
	if it.Insert == "" {
		it.Insert = it.Label
	}
	it.score, it.class = score, class
	c.out.Items = append(c.out.Items, it)
}

func (c *completer) finish() *Completion {
	l := c.out.Items
	sort.SliceStable(l, func(i, j int) bool {
		a, b := &l[i], &l[j]
		if a.score != b.score {
			return a.score > b.score
		}
		if a.class != b.class {
			return a.class < b.class
		}
		if len(a.Label) != len(b.Label) && c.word != "" {
			return len(a.Label) < len(b.Label)
		}
		return a.Label < b.Label
	})
	seen := map[string]bool{}
	out := l[:0]
	for _, it := range l {
		k := it.Label + "\x00" + it.Insert
		if !seen[k] {
			seen[k] = true
			out = append(out, it)
		}
	}
	if len(out) > maxItems {
		out, c.out.Incomplete = out[:maxItems], true
	}
	c.out.Items = out
	return c.out
}

// Matches reports whether what is typed fits a name, as in completion.
func Matches(typed, name string) bool {
	_, ok := match(typed, name)
	return ok
}

// match scores how well what is typed fits a name: as its beginning, the beginnings
// of its words, or letters in order.
func match(typed, name string) (score int, ok bool) {
	if typed == "" {
		return 1, true
	}
	if strings.HasPrefix(name, typed) {
		if len(name) == len(typed) {
			return 6, true
		}
		return 5, true
	}
	lt, ln := strings.ToLower(typed), strings.ToLower(name)
	if strings.HasPrefix(ln, lt) {
		return 4, true
	}
	if i := strings.Index(ln, lt); i > 0 && !isWordByte(name[i-1]) || i > 0 && name[i-1] == '_' {
		return 3, true
	} else if i > 0 && len(lt) > 1 {
		return 2, true
	}
	// The first letter begins a word, the others follow in order.
	at := 0
	for i := 0; i < len(lt); i++ {
		k := strings.IndexByte(ln[at:], lt[i])
		if k < 0 {
			return 0, false
		}
		if i == 0 && at+k > 0 && isWordByte(ln[at+k-1]) && ln[at+k-1] != '_' {
			return 0, false
		}
		at += k + 1
	}
	return 1, true
}

// ---- Where the cursor is ----

type place uint8

const (
	atTop       place = iota // between declarations
	inHeader                 // in a list of probe points
	inCondition              // in the "if (…)" of a probe point
	inBody                   // in a block
	inDeclare                // where a new name is written
	inParams                 // in the parameters of a function
)

// where tells what a token at the end of text is in, by the tokens alone: i is the
// last one before the cursor.
func (s *Snapshot) where(i int) place {
	raw := s.File.Raw
	done := false // a body or ";" lies between
	open := false // an unclosed parenthesis after "if" was met
	depth := 0
	prev := i
	for prev >= 0 && raw[prev].Kind == syntax.Comment {
		prev--
	}
	for ; i >= 0; i-- {
		if raw[i].Kind.IsKeyword() {
			if k := s.before(i); k >= 0 && raw[k].Kind == syntax.Dot {
				continue // kernel.function
			}
		}
		switch raw[i].Kind {
		case syntax.PPClose:
			if j := s.openedBy(i); j >= 0 && s.defines(j) >= 0 {
				i, done = j, true
			}
		case syntax.PPOpen:
			if s.defines(i) >= 0 {
				return inBody // of a macro, mostly statements
			}
		case syntax.RParen, syntax.RBrack:
			depth++
		case syntax.LParen, syntax.LBrack:
			if depth > 0 {
				depth--
			} else if k := s.before(i); k >= 0 && raw[k].Kind == syntax.KwIf {
				open = true
			}
		case syntax.Semi:
			if depth == 0 {
				done = true
			}
		case syntax.Embedded:
			done = true
		case syntax.RBrace:
			j := s.matching(i)
			if j < 0 {
				return atTop
			}
			if !s.isGroup(j) {
				done = true
			}
			i = j
		case syntax.LBrace:
			if s.isGroup(i) {
				continue
			}
			return inBody
		case syntax.KwProbe:
			switch {
			case done:
				return atTop
			case open:
				return inCondition
			}
			return inHeader
		case syntax.KwFunction:
			if i+1 < len(raw) && raw[i+1].Kind == syntax.LParen {
				continue // a component, of a group; a declaration has a name here
			}
			switch {
			case done:
				return atTop
			case i == prev:
				return inDeclare
			}
			return inParams
		case syntax.KwGlobal, syntax.KwPrivate:
			if prev >= 0 && (raw[prev].Kind == syntax.KwGlobal || raw[prev].Kind == syntax.Comma) && !done {
				return inDeclare
			}
			return atTop
		}
	}
	return atTop
}

// openedBy gives the "%(" that token i, a "%)", closes; -1 for none.
func (s *Snapshot) openedBy(i int) int {
	depth := 0
	for ; i >= 0; i-- {
		switch s.File.Raw[i].Kind {
		case syntax.PPClose:
			depth++
		case syntax.PPOpen:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// defines gives the "@define" whose body token i, a "%(", opens; -1 if it opens something
// else.
func (s *Snapshot) defines(i int) int {
	k := s.before(i)
	if k >= 0 && s.File.Raw[k].Kind == syntax.RParen {
		if k = s.matching(k); k >= 0 {
			k = s.before(k)
		}
	}
	if k < 0 || !s.File.Raw[k].Kind.IsWord() {
		return -1
	}
	if k = s.before(k); k >= 0 && s.File.RawText(k) == "@define" {
		return k
	}
	return -1
}

// macroAround gives the "@define" and the "%(" of the macro whose body token i is in, -1
// outside of one.
func (s *Snapshot) macroAround(i int) (define, open int) {
	for ; i >= 0; i-- {
		switch s.File.Raw[i].Kind {
		case syntax.PPClose:
			if i = s.openedBy(i); i < 0 {
				return -1, -1
			}
		case syntax.PPOpen:
			if d := s.defines(i); d >= 0 {
				return d, i
			}
		}
	}
	return -1, -1
}

// before gives the token before i that is no comment, -1 if there is none.
func (s *Snapshot) before(i int) int {
	for i--; i >= 0 && s.File.Raw[i].Kind == syntax.Comment; i-- {
	}
	return i
}

// isGroup reports whether a brace opens a group of a probe point.
func (s *Snapshot) isGroup(i int) bool {
	k := s.before(i)
	if k < 0 {
		return false
	}
	switch s.File.Raw[k].Kind {
	case syntax.Dot, syntax.KwProbe, syntax.Assign, syntax.AddAssign:
		return true
	case syntax.Comma: // of a list of points, or before an epilogue
		k = s.before(k)
		return k < 0 || s.File.Raw[k].Kind != syntax.RBrace || s.isGroup(s.matching(k))
	case syntax.LBrace:
		return s.isGroup(k)
	}
	return false
}

// matching gives the token that opens what token i closes.
func (s *Snapshot) matching(i int) int {
	open := map[syntax.Kind]syntax.Kind{syntax.RBrace: syntax.LBrace, syntax.RParen: syntax.LParen, syntax.RBrack: syntax.LBrack}[s.File.Raw[i].Kind]
	closing := s.File.Raw[i].Kind
	depth := 0
	for ; i >= 0; i-- {
		switch s.File.Raw[i].Kind {
		case closing:
			depth++
		case open:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// code completes outside of strings and comments.
func (c *completer) code() {
	s := c.s
	kind := syntax.EOF
	if c.raw >= 0 {
		kind = s.File.Raw[c.raw].Kind
	}
	p := s.where(c.raw)
	switch {
	case strings.HasPrefix(c.word, "@"):
		c.atWords(p)
	case p == atTop:
		c.top()
	case p == inHeader:
		c.component()
	case p == inDeclare || p == inParams:
		if kind == syntax.Colon {
			c.add(0, Item{Label: "long", Kind: KeywordItem, Doc: keywordDoc["long"]})
			c.add(0, Item{Label: "string", Kind: KeywordItem, Doc: keywordDoc["string"]})
		}
	case kind == syntax.Arrow:
		c.members()
	case strings.HasPrefix(c.word, "$"):
		c.dollars()
	default:
		c.expression(p)
	}
}

func (c *completer) top() {
	snippets := []struct{ label, insert, detail string }{
		{"probe", "probe ${1:point} {\n\t$0\n}", "attach a handler"},
		{"global", "global ${1:name}", "declare a shared variable"},
		{"function", "function ${1:name}(${2:params}) {\n\t$0\n}", "declare a function"},
		{"private", "private ", "declare for this file only"},
		{"@define", "@define ${1:name}(${2:params}) %( $0 %)", "define a macro"},
		{"probe begin", "probe begin {\n\t$0\n}", "when the script starts"},
		{"probe end", "probe end {\n\t$0\n}", "when the script ends"},
		{"probe timer.s", "probe timer.s(${1:5}) {\n\t$0\n}", "regularly"},
		{"probe syscall", "probe syscall.${1:openat} {\n\tprintf(\"%s(%d) %s(%s)\\n\", execname(), pid(), name, argstr)$0\n}", "trace a system call"},
		{"probe kernel.function", "probe kernel.function(\"${1:vfs_read}\") {\n\t$0\n}", "trace a kernel function"},
	}
	for i, sn := range snippets {
		it := Item{Label: sn.label, Kind: SnippetItem, Detail: sn.detail, Insert: sn.insert, Snippet: true}
		if i < 5 {
			it.Kind, it.Doc = KeywordItem, keywordDoc[strings.TrimPrefix(sn.label, "@")]
		}
		c.add(i/5, it)
	}
}

// ---- Probe points ----

// chain reads the components before token i, which is the dot in front of what is
// completed, or what parts points. group is the brace of the group that the chain is
// in, -1 outside; ok is false when something unknown comes before.
func (s *Snapshot) chain(i int) (comps []*syntax.Component, ok bool) {
	raw := s.File.Raw
	for i >= 0 {
		switch raw[i].Kind {
		case syntax.Comment:
			i--
		case syntax.Dot:
			c, next, good := s.componentBefore(s.before(i))
			if !good {
				return nil, false
			}
			comps = append([]*syntax.Component{c}, comps...)
			i = next
			if i >= 0 && raw[i].Kind != syntax.Dot {
				return s.prefixed(i, comps)
			}
		default:
			return s.prefixed(i, comps)
		}
	}
	return comps, true
}

// prefixed puts what stands before the group around token i in front.
func (s *Snapshot) prefixed(i int, comps []*syntax.Component) ([]*syntax.Component, bool) {
	raw := s.File.Raw
	for ; i >= 0; i-- {
		switch raw[i].Kind {
		case syntax.RBrace, syntax.RParen:
			if i = s.matching(i); i < 0 {
				return comps, true
			}
		case syntax.LBrace:
			if !s.isGroup(i) {
				return comps, true
			}
			k := s.before(i)
			if k < 0 || raw[k].Kind != syntax.Dot {
				continue
			}
			outer, ok := s.chain(k)
			return append(outer, comps...), ok
		case syntax.KwProbe:
			return comps, true
		}
	}
	return comps, true
}

// componentBefore reads the component that ends with token i.
func (s *Snapshot) componentBefore(i int) (c *syntax.Component, next int, ok bool) {
	raw := s.File.Raw
	c = &syntax.Component{}
	if i >= 0 && raw[i].Kind == syntax.RParen {
		open := s.matching(i)
		if open < 0 {
			return nil, -1, false
		}
		for k := open + 1; k < i; k++ {
			switch raw[k].Kind {
			case syntax.Number:
				c.Arg = &syntax.NumberLit{}
			case syntax.String:
				text := strings.Trim(s.File.RawText(k), `"`)
				c.Arg = &syntax.StringLit{Raw: text, Value: text}
			case syntax.Arg:
				c.Arg = &syntax.ScriptArg{}
			case syntax.ArgStr:
				c.Arg = &syntax.ScriptArg{Quoted: true}
			}
		}
		i = s.before(open)
	}
	for i >= 0 && (raw[i].Kind.IsWord() && raw[i].Kind != syntax.KwProbe || raw[i].Kind == syntax.Mul) {
		c.Name = s.File.RawText(i) + c.Name
		if i > 0 && raw[i-1].End != raw[i].Off {
			i--
			return c, s.skipComments(i), true
		}
		i--
	}
	return c, s.skipComments(i), c.Name != ""
}

func (s *Snapshot) skipComments(i int) int {
	for i >= 0 && s.File.Raw[i].Kind == syntax.Comment {
		i--
	}
	return i
}

// component completes a part of a probe point.
func (c *completer) component() {
	s := c.s
	kind := syntax.EOF
	if c.raw >= 0 {
		kind = s.File.Raw[c.raw].Kind
	}
	switch kind {
	case syntax.Dot, syntax.KwProbe, syntax.Comma, syntax.Assign, syntax.AddAssign, syntax.LBrace:
	case syntax.LParen:
		return
	default:
		c.add(0, Item{Label: "if", Kind: KeywordItem, Insert: "if ($0)", Snippet: true, Detail: "only when globals say so"})
		return
	}
	prefix, ok := s.chain(c.raw)
	if !ok {
		return
	}
	names := make([]string, 0, len(prefix)+1)
	for _, p := range prefix {
		names = append(names, p.Name)
	}
	for _, n := range s.continuations(prefix) {
		it := Item{Label: n.Name, Kind: PointItem, Insert: n.Name + argSnippet(n.Arg), Snippet: n.Arg != ""}
		if n.Ends {
			it.Kind = EventItem
		}
		switch n.Arg {
		case "number":
			it.Label += "(number)"
		case "string":
			it.Label += "(string)"
		}
		it.Filter = n.Name
		if len(n.Aliases) > 0 {
			a := n.Aliases[0]
			var pts []string
			for _, p := range a.Points {
				pts = append(pts, syntax.PointString(p))
			}
			it.Detail = "= " + strings.Join(pts, ", ")
			if d := s.Env.docOf(a); d != nil {
				it.Doc = d.Markdown()
			}
		} else {
			it.Doc = componentDoc(append(names, n.Name))
		}
		class := 0
		if strings.HasPrefix(n.Name, "_") {
			class = 2
		}
		c.add(class, it)
	}
}

// continuations lists what can follow components, remembered where the script has no
// say in it.
func (s *Snapshot) continuations(prefix []*syntax.Component) []sema.Continuation {
	var key strings.Builder
	for _, p := range prefix {
		key.WriteString(p.Name)
		switch p.Arg.(type) {
		case *syntax.StringLit:
			key.WriteString("(s)")
		case *syntax.NumberLit:
			key.WriteString("(n)")
		}
		key.WriteByte('.')
	}
	for _, d := range s.File.Decls {
		if _, ok := d.(*syntax.AliasDecl); ok {
			return s.allContinuations(prefix, 0)
		}
	}
	e := s.Env
	e.mu.Lock()
	got, ok := e.conts[key.String()]
	e.mu.Unlock()
	if ok {
		return got
	}
	got = s.allContinuations(prefix, 0)
	e.mu.Lock()
	if e.conts == nil {
		e.conts = map[string][]sema.Continuation{}
	}
	e.conts[key.String()] = got
	e.mu.Unlock()
	return got
}

// allContinuations adds what the points behind an alias take as a suffix.
func (s *Snapshot) allContinuations(prefix []*syntax.Component, depth int) []sema.Continuation {
	got := sema.Continuations(s.File, prefix, s.Env.semaOptions())
	if len(prefix) == 0 || depth > 4 {
		return got
	}
	last := prefix[len(prefix)-1]
	for _, n := range sema.Continuations(s.File, prefix[:len(prefix)-1], s.Env.semaOptions()) {
		if n.Name != last.Name || len(n.Aliases) == 0 || last.Arg != nil {
			continue
		}
		have := map[string]bool{}
		for _, g := range got {
			have[g.Name+g.Arg] = true
		}
		for _, p := range n.Aliases[0].Points {
			pp, ok := p.(*syntax.ProbePoint)
			if !ok {
				continue
			}
			for _, g := range s.allContinuations(pp.Components, depth+1) {
				if !have[g.Name+g.Arg] {
					have[g.Name+g.Arg] = true
					got = append(got, g)
				}
			}
			break
		}
	}
	return got
}

// ---- Strings ----

// inString completes inside the string token in.
func (c *completer) inString(in int) {
	s := c.s
	raw := s.File.Raw
	start := int(raw[in].Off) + 1
	if start > c.off {
		return
	}
	typed := string(s.Text[start:c.off])
	open := s.before(in)
	arg := 0
	depth := 0
	for open >= 0 { // the parenthesis that the string is an argument of
		k := raw[open].Kind
		if k == syntax.RParen || k == syntax.RBrack {
			depth++
		} else if k == syntax.LParen || k == syntax.LBrack {
			if depth == 0 {
				break
			}
			depth--
		} else if k == syntax.Comma && depth == 0 {
			arg++
		} else if depth == 0 && (k == syntax.LBrace || k == syntax.RBrace || k == syntax.Semi) {
			return
		}
		open--
	}
	if open < 0 || raw[open].Kind != syntax.LParen {
		return
	}
	head := s.before(open)
	if head < 0 {
		return
	}
	name := s.File.RawText(head)
	wide := func(b byte) bool { return isWordByte(b) || strings.IndexByte("*?:.@/+-", b) >= 0 }
	c.setWord(start, wide)
	c.word = typed
	if k := s.before(head); s.where(k) == inHeader || k >= 0 && raw[k].Kind == syntax.KwProbe {
		comp, next, ok := s.componentBefore(head)
		if !ok {
			return
		}
		var prefix []*syntax.Component
		if next >= 0 && raw[next].Kind == syntax.Dot {
			prefix, _ = s.chain(next)
		} else {
			prefix, _ = s.prefixed(next, nil)
		}
		c.pointArg(prefix, comp.Name, typed)
		return
	}
	switch {
	case isPrint(name) && strings.HasSuffix(name, "f") && arg == 0:
		c.directives(start, typed)
	case name == "@cast" && arg == 1, name == "@enumname" && arg == 1:
		c.types(typed, c.operatorObjects(in, open, 2))
	case name == "@cast" && arg == 2, name == "@var" && arg == 1:
		c.modules(typed)
	case name == "@var" && arg == 0:
		c.variables(c.operatorObjects(in, open, 1))
	case (name == "@enum" || name == "@const") && arg == 0:
		c.enumerators(typed)
	}
}

// pointArg completes the string argument of a component.
func (c *completer) pointArg(prefix []*syntax.Component, name, typed string) {
	e := c.s.Env
	family := name
	if len(prefix) > 0 {
		family = prefix[0].Name
	}
	argOf := func(comp string) string {
		for _, p := range prefix {
			if p.Name == comp {
				if l, ok := p.Arg.(*syntax.StringLit); ok {
					return l.Value
				}
			}
		}
		return ""
	}
	switch name {
	case "module":
		c.modules(typed)
	case "process":
		c.paths(typed)
	case "library":
		if !strings.Contains(typed, "/") {
			if libs, err := e.bins.Libraries(c.program(argOf("process"), "")); err == nil {
				for _, l := range libs {
					c.add(0, Item{Label: filepath.Base(l), Kind: FileItem, Detail: l})
				}
			}
			return
		}
		c.paths(typed)
	case "function", "statement", "callee", "call":
		if family == "process" {
			c.userFunctions(c.program(argOf("process"), argOf("library")), typed)
			return
		}
		module := argOf("module")
		if fn, rest, at := strings.Cut(typed, "@"); at {
			if e.Target != nil {
				if d, err := e.bins.KernelDWARF(e.Target, module); err == nil {
					c.places(d, fn, rest)
				}
			}
			return
		}
		for _, n := range e.functionNames(module) {
			c.add(0, Item{Label: n, Kind: KernelItem, Data: "kfunc\x00" + module + "\x00" + n})
		}
	case "trace", "tracepoint":
		if e.Target == nil {
			return
		}
		module := argOf("module")
		tps, err := e.Target.Tracepoints(module, "*")
		if err != nil {
			return
		}
		for i := range tps {
			full := tps[i].FullName()
			if name == "tracepoint" {
				full = tps[i].Name
			}
			it := Item{Label: full, Kind: KernelItem, Data: "trace\x00" + module + "\x00" + tps[i].Name}
			if _, ok := match(c.word, tps[i].Name); ok && !strings.Contains(c.word, ":") {
				it.Filter = tps[i].Name
			}
			c.add(0, it)
		}
	case "mark", "provider":
		marks, err := e.bins.Marks(c.program(argOf("process"), argOf("library")))
		if err != nil {
			return
		}
		for _, m := range marks {
			switch provider := argOf("provider"); {
			case name == "provider":
				c.add(0, Item{Label: m.Provider, Kind: KernelItem})
			case provider == "" || target.Match(provider, m.Provider):
				c.add(0, Item{Label: m.Name, Kind: KernelItem, Detail: m.Provider + " " + m.ArgText})
			}
		}
	case "plt":
		if names, err := e.bins.PLT(c.program(argOf("process"), argOf("library"))); err == nil {
			for _, n := range names {
				c.add(0, Item{Label: n, Kind: FunctionItem, Detail: "of a library"})
			}
		}
	case "data":
		if e.Target != nil {
			if b, err := e.Target.BTF(); err == nil {
				for _, v := range b.Vars() {
					c.add(0, Item{Label: v.Name, Kind: KernelItem, Detail: ctype.Name(v.Type)})
				}
			}
		}
	case "hook":
		for _, h := range []string{"NF_INET_PRE_ROUTING", "NF_INET_LOCAL_IN", "NF_INET_FORWARD", "NF_INET_LOCAL_OUT", "NF_INET_POST_ROUTING"} {
			c.add(0, Item{Label: h, Kind: ConstantItem})
		}
	case "pf":
		for _, p := range []string{"NFPROTO_IPV4", "NFPROTO_IPV6", "NFPROTO_ARP", "NFPROTO_BRIDGE"} {
			c.add(0, Item{Label: p, Kind: ConstantItem})
		}
	case "label":
		var d *dwarf.Data
		var err error
		if family == "process" {
			d, err = e.bins.DWARF(c.program(argOf("process"), argOf("library")))
		} else if e.Target != nil {
			d, err = e.bins.KernelDWARF(e.Target, argOf("module"))
		}
		if err != nil || d == nil {
			return
		}
		fn, _, _ := strings.Cut(argOf("function"), "@")
		for _, i := range d.Lookup(fn) {
			for _, l := range i.Labels() {
				c.add(0, Item{Label: l.Name, Kind: KernelItem})
			}
		}
	}
}

// program finds the file that process(name), or with a library process(name).library(…),
// is about; "" if there is none.
func (c *completer) program(name, library string) string {
	e := c.s.Env
	opt := e.semaOptions()
	var path string
	if files := sema.ProgramFiles(name, opt); len(files) > 0 {
		path = files[0]
	}
	if library == "" || path == "" {
		return path
	}
	if libs, err := e.bins.Libraries(path); err == nil {
		for _, l := range libs {
			if target.Match(library, l) || target.Match(library, filepath.Base(l)) {
				return l
			}
		}
	}
	if files := sema.ProgramFiles(library, opt); len(files) > 0 {
		return files[0]
	}
	return ""
}

// userFunctions completes functions of a program, and behind "@" the files and lines
// of one.
func (c *completer) userFunctions(path, typed string) {
	if path == "" {
		return
	}
	if fn, rest, at := strings.Cut(typed, "@"); at {
		if d, err := c.s.Env.bins.DWARF(path); err == nil {
			c.places(d, fn, rest)
		}
		return
	}
	names, err := c.s.Env.bins.Functions(path)
	if err != nil {
		return
	}
	for _, n := range names {
		c.add(0, Item{Label: n, Kind: FunctionItem, Data: "ufunc\x00" + path + "\x00" + n})
	}
}

// maxFiles bounds the source files that are offered.
const maxFiles = 300

// places completes what is behind "@" of a function: the source file, behind its colon
// a line. A pattern has all files; their lines are those where code begins.
func (c *completer) places(d *dwarf.Data, fn, rest string) {
	c.out.Start = c.off - len(rest)
	c.word = rest
	file, _, line := strings.Cut(rest, ":")
	seen := map[string]bool{}
	add := func(label, detail string) {
		if !seen[label] {
			seen[label] = true
			c.add(0, Item{Label: label, Kind: FileItem, Detail: detail})
		}
	}
	pattern := fn == "" || target.IsPattern(fn)
	if !line {
		if !pattern {
			for _, i := range d.Lookup(fn) {
				add(filepath.Base(i.Decl.File), i.Decl.File)
			}
			return
		}
		names := d.Files(func(name string) bool { _, ok := match(rest, name); return ok })
		if len(names) > maxFiles {
			names, c.out.Incomplete = names[:maxFiles], true
		}
		for _, name := range names {
			add(name, "")
		}
		return
	}
	named := func(name string) bool { return name == file || strings.HasSuffix(name, "/"+file) }
	var lines []int
	if pattern {
		if err := d.Statements(named, func(st dwarf.Statement) bool {
			if named(st.Line.File) {
				lines = append(lines, st.Line.Line)
			}
			return len(lines) < 1<<16
		}); err != nil {
			return
		}
	} else {
		for _, i := range d.Lookup(fn) {
			list, err := i.Lines()
			if err != nil {
				continue
			}
			for _, st := range list {
				if named(st.Line.File) { // and not of what is inlined from elsewhere
					lines = append(lines, st.Line.Line)
				}
			}
		}
	}
	slices.Sort(lines)
	for _, n := range slices.Compact(lines) {
		add(file+":"+itoa(n), "")
	}
}

func (c *completer) modules(typed string) {
	c.add(0, Item{Label: "kernel", Kind: KernelItem, Detail: "the kernel itself"})
	if t := c.s.Env.Target; t != nil {
		for _, o := range t.Objects() {
			if o != target.Kernel {
				c.add(1, Item{Label: o, Kind: KernelItem, Detail: "kernel module"})
			}
		}
	}
	if strings.HasPrefix(typed, "/") {
		c.paths(typed)
	}
}

// paths completes a file's path.
func (c *completer) paths(typed string) {
	dir, base := filepath.Split(typed)
	c.out.Start = c.off - len(base)
	c.word = base
	if dir == "" {
		for _, d := range strings.Split(os.Getenv("PATH"), ":") {
			c.listDir(d, d+"/")
		}
		return
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(c.s.Name), dir)
	}
	c.listDir(dir, "")
}

func (c *completer) listDir(dir, insert string) {
	es, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range es {
		name := e.Name()
		if strings.HasPrefix(name, ".") && !strings.HasPrefix(c.word, ".") {
			continue
		}
		it := Item{Label: name, Kind: FileItem, Insert: insert + name}
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case err != nil:
			continue
		case info.IsDir():
			if insert != "" {
				continue
			}
			it.Kind, it.Insert = FolderItem, name+"/"
		case info.Mode()&0o111 == 0 && !strings.Contains(name, ".so"):
			continue
		}
		c.add(0, it)
	}
}

// directives completes the directives of a format.
func (c *completer) directives(start int, typed string) {
	i := strings.LastIndexByte(typed, '%')
	if i < 0 || strings.TrimLeft(typed[i+1:], "0123456789.*+- #l") != "" || i > 0 && typed[i-1] == '%' {
		return
	}
	c.setWord(start+i, func(byte) bool { return false })
	given := typed[i+1:]
	c.word = ""
	for _, d := range []struct {
		letter string
		conv   format.Conv
	}{{"d", format.Signed}, {"s", format.Str}, {"x", format.Hex}, {"p", format.Pointer}, {"u", format.Unsigned}, {"c", format.Char},
		{"o", format.Octal}, {"X", format.HexUpper}, {"b", format.Binary}, {"m", format.Memory}, {"M", format.MemoryHex}} {
		l := "%" + given + d.letter
		c.add(len(c.out.Items), Item{Label: l, Kind: DirectiveItem, Detail: convDoc[d.conv]})
	}
	if given == "" {
		c.add(99, Item{Label: "%%", Kind: DirectiveItem, Detail: "a percent sign"})
	}
}

// operatorObjects are the modules and programs that an operator such as @cast looks names up
// in: its argument n names them, when it is written already. in is the string at hand, open
// the operator's parenthesis.
func (c *completer) operatorObjects(in, open, n int) []string {
	s := c.s
	named := ""
	depth, arg := 0, 0
scan:
	for k := open + 1; k < len(s.File.Raw); k++ {
		switch s.File.Raw[k].Kind {
		case syntax.LParen, syntax.LBrack:
			depth++
		case syntax.RParen, syntax.RBrack:
			if depth--; depth < 0 {
				break scan
			}
		case syntax.Comma:
			if depth == 0 {
				arg++
			}
		case syntax.String:
			if arg == n && depth == 0 && k != in {
				named = strings.Trim(s.File.RawText(k), `"`)
			}
		case syntax.Semi, syntax.LBrace, syntax.RBrace, syntax.EOF:
			break scan
		}
	}
	return s.objectsOf(s.path(s.before(in)), named)
}

// types completes names of types, those of the first object first.
func (c *completer) types(typed string, objects []string) {
	e := c.s.Env
	prefix, word, only := "", typed, ""
	for _, kw := range []string{"struct", "union", "enum"} {
		if rest, ok := strings.CutPrefix(typed, kw+" "); ok {
			prefix, word, only = kw+" ", rest, kw
		}
	}
	c.setWord(c.off-len(word), isWordByte)
	c.word = word
	keywords := []string{"struct", "union", "typedef", "enum"}
	for i, o := range objects {
		for k, kw := range keywords {
			if only != "" && only != kw {
				continue
			}
			for _, n := range e.typeNames(o, kw) {
				c.add(i*len(keywords)+k, Item{Label: n, Kind: TypeItem, Detail: kw, Data: "type\x00" + o + "\x00" + prefix + n})
			}
		}
	}
}

// typeNames lists the types of an object that are of a kind.
func (e *Env) typeNames(object, keyword string) []string {
	return e.cached("type "+object+" "+keyword, func() []string {
		var out []string
		if strings.HasPrefix(object, "/") {
			if d, err := e.bins.DWARF(object); err == nil {
				for kw, n := range d.TypeNames() {
					if kw == keyword {
						out = append(out, n)
					}
				}
			}
			return out
		}
		if e.Target == nil {
			return nil
		}
		b, err := e.Target.ModuleBTF(object)
		if err != nil {
			return nil
		}
		for n := range b.Names(map[string]btf.Kind{"struct": btf.KindStruct, "union": btf.KindUnion, "typedef": btf.KindTypedef, "enum": btf.KindEnum}[keyword], "") {
			if len(out) == 0 || out[len(out)-1] != n {
				out = append(out, n)
			}
		}
		return out
	})
}

// variables completes names of variables.
func (c *completer) variables(objects []string) {
	e := c.s.Env
	for _, o := range objects {
		if strings.HasPrefix(o, "/") {
			if d, err := e.bins.DWARF(o); err == nil {
				for _, n := range d.GlobalNames() {
					c.add(0, Item{Label: n, Kind: KernelItem, Data: "var\x00" + o + "\x00" + n})
				}
			}
			continue
		}
		if e.Target == nil {
			continue
		}
		if b, err := e.Target.ModuleBTF(o); err == nil {
			for _, v := range b.Vars() {
				c.add(1, Item{Label: v.Name, Kind: KernelItem, Detail: ctype.Name(v.Type)})
			}
		}
	}
}

func (c *completer) enumerators(typed string) {
	t := c.s.Env.Target
	if t == nil || len(typed) < 2 {
		c.out.Incomplete = t != nil
		return
	}
	b, err := t.BTF()
	if err != nil {
		return
	}
	for _, n := range c.s.Env.cached("enumerators", func() []string {
		seen := map[string]bool{}
		var out []string
		for _, k := range []btf.Kind{btf.KindEnum, btf.KindEnum64} {
			for _, id := range b.Names(k, "") {
				e, ok := ctype.Strip(b.Type(id)).(*ctype.Enum)
				if !ok {
					continue
				}
				for _, v := range e.Values() {
					if !seen[v.Name] {
						seen[v.Name] = true
						out = append(out, v.Name)
					}
				}
			}
		}
		sort.Strings(out)
		return out
	}) {
		c.add(0, Item{Label: n, Kind: ConstantItem})
	}
}

// ruleList is a suppression up to where its rules stand.
var ruleList = regexp.MustCompile(`staplint:ignore(-file)?\s+[A-Z0-9, \t]*$`)

// comment completes rule ids in suppressions.
func (c *completer) comment(in int) {
	text := c.s.File.RawText(in)
	typed := text[:min(len(text), c.off-int(c.s.File.Raw[in].Off))]
	if !ruleList.MatchString(typed) {
		if i := strings.LastIndexAny(typed, " \t/*#"); i >= 0 {
			c.setWord(int(c.s.File.Raw[in].Off)+i+1, func(b byte) bool { return isWordByte(b) || b == ':' || b == '-' })
			for _, w := range []string{"staplint:ignore", "staplint:ignore-file", "stapfmt:off", "stapfmt:on"} {
				if len(c.word) > 2 {
					c.add(0, Item{Label: w, Kind: KeywordItem})
				}
			}
		}
		return
	}
	start := c.off
	for start > 0 && isIDByte(c.s.Text[start-1]) {
		start--
	}
	c.setWord(start, isIDByte)
	for _, info := range diag.All() {
		if info.Severity == diag.Error && !strings.HasPrefix(string(info.Code), "ST") {
			continue
		}
		class := 1
		if strings.HasPrefix(string(info.Code), "ST") {
			class = 0
		}
		c.add(class, Item{Label: string(info.Code), Kind: RuleItem, Detail: info.Title, Doc: strings.TrimSpace(info.Doc)})
	}
}

// ---- Expressions ----

// pathNear gives the nodes around the cursor: of the word, else of what is before it.
func (c *completer) pathNear() []syntax.Node {
	s := c.s
	at := c.raw
	for at >= 0 && s.File.Raw[at].Kind == syntax.Comment {
		at--
	}
	if c.out.Start < c.off {
		if p := s.path(s.tokenAt(c.out.Start)); p != nil {
			return p
		}
	}
	if p := s.path(at); p != nil {
		return p
	}
	// In text that the target at hand leaves out: of a declaration that it does not, be it
	// half typed, or of one that the source has.
	if s.where(c.raw) == inBody {
		for i := len(s.File.Decls) - 1; i >= 0; i-- {
			d := s.File.Decls[i]
			if _, ok := d.(*syntax.GlobalDecl); ok {
				continue
			}
			if sp, ok := s.offsets(syntax.Range(d)); ok && sp.start < c.off &&
				(c.off <= sp.end || d.File().Tokens[d.Last()].Kind != syntax.RBrace) {
				return []syntax.Node{d}
			}
		}
	}
	if c.out.Start < c.off {
		if p := s.sourcePath(s.tokenAt(c.out.Start)); p != nil {
			return p
		}
	}
	return s.sourcePath(at)
}

// members completes behind "->".
func (c *completer) members() {
	s := c.s
	arrow := s.File.Raw[c.raw]
	// The expression lies before the arrow; what was typed behind it may have been
	// taken for its member, or not.
	path := s.anyPath(c.raw)
	if path == nil {
		path = s.anyPath(s.before(c.raw))
	}
	var x syntax.Expr
	var acc *syntax.Access
	for i := len(path) - 1; i >= 0; i-- {
		if x, acc = accessOf(path[i]); acc != nil {
			break
		}
	}
	var t ctype.Type
	if acc != nil {
		var steps []*syntax.Accessor
		for _, a := range acc.Path {
			tok := a.File().Tokens[a.First()]
			if tok.Src == 0 && tok.Off >= arrow.Off {
				break
			}
			steps = append(steps, a)
		}
		t, _ = s.typeAt(x, steps, path)
	} else if k := s.before(c.raw); k >= 0 {
		p := s.path(k)
		for i := len(p) - 1; i >= 0 && t == nil; i-- {
			if e, ok := p[i].(syntax.Expr); ok {
				if prog := s.ProgramBy(c.ctx); prog != nil {
					if v := s.valueOf(prog, e, p); v != nil {
						t = v.Type
					}
				}
				break
			}
		}
	}
	if t == nil {
		return
	}
	if p, ok := ctype.AsPointer(t); ok {
		t = p.Elem
	}
	st, ok := ctype.AsStruct(t)
	if !ok {
		return
	}
	c.structMembers(st, 0)
}

func (c *completer) structMembers(st *ctype.Struct, depth int) {
	for _, m := range st.Members() {
		if m.Name == "" {
			if in, ok := ctype.AsStruct(m.Type); ok && depth < 16 {
				c.structMembers(in, depth+1)
			}
			continue
		}
		it := Item{Label: m.Name, Kind: MemberItem, Detail: ctype.Declare(m.Type, m.Name)}
		if m.Bits > 0 {
			it.Detail += " : " + itoa(int(m.Bits))
		}
		base := m.Type
		if p, ok := ctype.AsPointer(base); ok {
			base = p.Elem
		}
		it.Data = c.s.Env.structData(base)
		c.add(0, it)
	}
}

// structData names a struct for Resolve, "" if it is none.
func (e *Env) structData(t ctype.Type) string {
	in, ok := ctype.AsStruct(t)
	if !ok || in.Name == "" {
		return ""
	}
	name := in.Kind.String() + " " + in.Name
	if in.Origin.Object != "" {
		return "type\x00" + in.Origin.Object + "\x00" + name
	}
	// Of debug information: found again by itself.
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.offered == nil || len(e.offered) >= maxOffered {
		e.offered = map[string]ctype.Type{}
	}
	e.offered[name] = t
	return "offered\x00\x00" + name
}

// maxOffered is how many types of programs are kept for their documentation.
const maxOffered = 2000

// dollars completes target variables.
func (c *completer) dollars() {
	path := c.pathNear()
	for _, v := range c.s.targetVariables(path) {
		if v.Why != "" {
			continue
		}
		it := Item{Label: v.Name, Kind: TargetItem, Detail: "string"}
		class := 0
		if v.Type != nil {
			it.Detail = ctype.Declare(v.Type, v.Name)
			base := v.Type
			if p, ok := ctype.AsPointer(base); ok {
				base = p.Elem
			}
			it.Data = c.s.Env.structData(base)
		}
		if v.Local {
			class = 1
		}
		if v.Entry {
			it.Doc = "Its value when the function was entered."
		}
		c.add(class, it)
	}
	switch declOf(path).(type) {
	case *syntax.ProbeDecl, *syntax.AliasDecl:
		for _, n := range []string{"$$vars", "$$parms", "$$locals", "$$return"} {
			c.add(2, Item{Label: n, Kind: TargetItem, Detail: "string", Doc: dollarDoc[n]})
		}
	}
}

// atWords completes operators and macros.
func (c *completer) atWords(p place) {
	if p == atTop {
		c.add(0, Item{Label: "@define", Kind: KeywordItem, Insert: "@define ${1:name}(${2:params}) %( $0 %)", Snippet: true, Doc: atDoc["define"][1]})
	}
	if p == inBody || p == inCondition {
		forms := map[string]string{
			"cast": `@cast(${1:value}, "${2:task_struct}")$0`, "var": `@var("$1")$0`, "defined": `@defined(${1:\$x})$0`, "entry": `@entry(${1:\$x})$0`,
			"enum": `@enum("$1")$0`, "const": `@const("$1")$0`, "enumname": `@enumname(${1:value}, "${2:enum}")$0`, "perf": `@perf("$1")$0`,
		}
		for n, d := range atDoc {
			if n == "define" {
				continue
			}
			it := Item{Label: "@" + n, Kind: FunctionItem, Detail: d[0], Doc: d[1], Insert: "@" + n + "($1)$0", Snippet: true}
			if f, ok := forms[n]; ok {
				it.Insert = f
			}
			c.add(1, it)
		}
		for n, d := range statDoc {
			it := Item{Label: "@" + n, Kind: FunctionItem, Detail: d[0], Doc: d[1], Insert: "@" + n + "(${1:aggregate})$0", Snippet: true}
			if n == "hist_linear" {
				it.Insert = "@hist_linear(${1:aggregate}, ${2:0}, ${3:100}, ${4:10})$0"
			}
			c.add(1, it)
		}
	}
	if define, open := c.s.macroAround(c.raw); define >= 0 {
		for i := define + 2; i < open; i++ { // behind its name
			if c.s.File.Raw[i].Kind.IsWord() && i != c.s.before(open) {
				c.add(0, Item{Label: "@" + c.s.File.RawText(i), Kind: ParamItem, Detail: "parameter"})
			}
		}
	}
	names := map[string]*syntax.Macro{}
	for _, n := range c.s.Env.lib.Macros.Names() {
		names[n] = c.s.Env.lib.Macros.Lookup(n)
	}
	for _, m := range c.s.File.Macros {
		names[m.Name] = m
	}
	for _, n := range sortedNames(names) {
		m := names[n]
		it := Item{Label: "@" + n, Kind: MacroItem, Detail: "macro"}
		class := 2
		if !m.Library {
			class = 0
		}
		if strings.HasPrefix(n, "_") {
			class = 3
		}
		if m.HasParens {
			it.Detail = "@" + n + "(" + strings.Join(m.Params, ", ") + ")"
			it.Insert, it.Snippet = "@"+n+snippetArgs(m.Params), true
		}
		if d := c.s.macroDoc(m); d != nil {
			it.Doc = d.Markdown()
		}
		c.add(class, it)
	}
}

func snippetArgs(params []string) string {
	var l []string
	for i, p := range params {
		l = append(l, "${"+itoa(i+1)+":"+strings.NewReplacer("$", `\$`, "}", `\}`, `\`, `\\`).Replace(p)+"}")
	}
	return "(" + strings.Join(l, ", ") + ")"
}

// expression completes names in a handler or function.
func (c *completer) expression(p place) {
	s := c.s
	path := c.pathNear()
	d := declOf(path)
	prog := s.elaborated()
	typ := map[string]string{}
	for _, b := range bodies(prog, path) {
		for _, l := range b.Locals {
			if t := typeText(l.Type); t != "" {
				typ[l.Name] = t
			}
		}
	}
	globals := map[string]bool{}
	for _, decl := range s.File.Decls {
		switch decl := decl.(type) {
		case *syntax.GlobalDecl:
			for _, v := range decl.Vars {
				if v.Name == nil || globals[v.Name.Name] {
					continue
				}
				globals[v.Name.Name] = true
				if !Matches(c.word, v.Name.Name) {
					continue
				}
				it := Item{Label: v.Name.Name, Kind: GlobalItem, Detail: "global"}
				if prog != nil && prog.Tools != nil {
					for _, g := range prog.Tools.Globals {
						if g.Decl == v {
							it.Detail = globalText(g)
						}
					}
				}
				if doc := s.Env.docOf(decl); doc != nil {
					it.Doc = doc.Markdown()
				}
				c.add(1, it)
			}
		case *syntax.FuncDecl:
			if decl.Name == nil || p == inCondition || !Matches(c.word, decl.Name.Name) {
				continue
			}
			if fn := funcOf(prog, decl); fn != nil {
				c.addFunction(2, s.Env.function(fn))
			} else {
				c.addFunction(2, s.Env.declared(decl))
			}
		}
	}
	if p == inCondition {
		return
	}
	locals := map[string]bool{}
	local := func(name string, kind ItemKind) {
		if name == "" || locals[name] || globals[name] {
			return
		}
		locals[name] = true
		detail := "local"
		if kind == ParamItem {
			detail = "parameter"
		}
		if t := typ[name]; t != "" {
			detail += ": " + t
		}
		c.add(0, Item{Label: name, Kind: kind, Detail: detail})
	}
	if fd, ok := d.(*syntax.FuncDecl); ok {
		for _, p := range fd.Params {
			if p.Name != nil {
				local(p.Name.Name, ParamItem)
			}
		}
	}
	if d != nil {
		syntax.Inspect(d, func(n syntax.Node) bool {
			if id, ok := n.(*syntax.Ident); ok {
				if r, ok := s.offsets(syntax.Range(id)); !ok || r.start != c.out.Start {
					local(id.Name, VariableItem)
				}
			}
			return true
		})
		c.aliasVariables(d, local)
	}
	// What the bodies of the file's macros name, code around their uses gives a value, and
	// the other way round.
	for _, m := range s.File.Macros {
		for _, t := range m.Body {
			name := string(m.Source.Text[t.Off:t.End])
			if t.Kind == syntax.Name && int(t.Off) != c.out.Start && !strings.HasPrefix(name, "$") && !locals[name] && !globals[name] {
				locals[name] = true
				c.add(5, Item{Label: name, Kind: VariableItem, Detail: "named by @" + m.Name})
			}
		}
	}
	if define, open := s.macroAround(c.raw); define >= 0 { // one that is half typed
		for i := open; i < len(s.File.Raw); i++ {
			if t := s.File.Raw[i]; t.Kind == syntax.Name && int(t.Off) != c.out.Start && !strings.HasPrefix(s.File.RawText(i), "$") {
				local(s.File.RawText(i), VariableItem)
			}
		}
	}
	for _, it := range s.Env.library().items {
		class := 3
		if strings.HasPrefix(it.Label, "_") {
			class = 6
		}
		c.add(class, it)
	}
	for n, doc := range printDoc {
		it := Item{Label: n, Kind: FunctionItem, Detail: doc[0], Doc: doc[1], Snippet: true, Insert: n + "($1)$0"}
		if strings.HasSuffix(n, "f") {
			it.Insert = n + `("${1:%d\\n}", $2)$0`
		}
		c.add(3, it)
	}
	c.keywords()
}

func params(f *sema.Func) []Param {
	var out []Param
	for _, p := range f.Params {
		out = append(out, Param{p.Name, typeText(p.Type)})
	}
	return out
}

func callSnippet(name string, f *sema.Func) string {
	var names []string
	for _, p := range f.Params {
		names = append(names, p.Name)
	}
	return name + snippetArgs(names)
}

func (c *completer) addFunction(class int, f *Function) {
	var names []string
	for _, p := range f.Params {
		names = append(names, p.Name)
	}
	it := Item{Label: f.Name, Kind: FunctionItem, Detail: f.Signature(), Insert: f.Name + snippetArgs(names), Snippet: true}
	if f.Doc != nil {
		it.Doc = f.Doc.Markdown()
	}
	c.add(class, it)
}

// aliasVariables offers the variables that the aliases of a probe's points set.
func (c *completer) aliasVariables(d syntax.Decl, local func(string, ItemKind)) {
	var points []syntax.Point
	switch d := d.(type) {
	case *syntax.ProbeDecl:
		points = d.Points
	case *syntax.AliasDecl:
		points = d.Points
	}
	for i, p := range c.s.Env.resolve(c.s.File, points) {
		if i == sampled {
			break
		}
		for _, name := range aliasVariables(p) {
			local(name, VariableItem)
		}
	}
}

func (c *completer) keywords() {
	for _, k := range []struct{ word, insert string }{
		{"if", "if ($1) {\n\t$0\n}"}, {"else", "else {\n\t$0\n}"}, {"while", "while ($1) {\n\t$0\n}"},
		{"for", "for (${1:i = 0}; ${2:i < n}; ${3:i++}) {\n\t$0\n}"}, {"foreach", "foreach (${1:key} in ${2:array}) {\n\t$0\n}"},
		{"return", ""}, {"delete", ""}, {"next", ""}, {"break", ""}, {"continue", ""}, {"in", ""}, {"limit", ""},
		{"try", "try {\n\t$0\n} catch (${1:msg}) {\n\t\n}"},
	} {
		it := Item{Label: k.word, Kind: KeywordItem, Insert: k.insert, Snippet: k.insert != "", Doc: keywordDoc[k.word]}
		c.add(4, it)
	}
}

// Resolve gives detail and documentation of an item by its Data.
func (e *Env) Resolve(data string) (detail, doc string) {
	f := strings.SplitN(data, "\x00", 3)
	if len(f) != 3 {
		return "", ""
	}
	switch f[0] {
	case "func":
		var list []Section
		for i, fn := range e.library().funcs[f[2]] {
			q := e.function(fn)
			if i == 0 {
				detail = q.Signature()
			}
			if q.Doc != nil && len(list) == 0 {
				list = append(list, Section{"", q.Doc.Markdown()}, Section{"", "Of the library, `" + fn.File.Name + "`."})
			}
		}
		return detail, markdown(list)
	case "kfunc":
		if e.Target != nil {
			if fs, err := e.Target.Functions(f[1], f[2]); err == nil && len(fs) > 0 {
				return ctype.Prototype(f[2], fs[0].Type()), ""
			}
		}
	case "trace":
		if e.Target != nil {
			if tps, err := e.Target.Tracepoints(f[1], f[2]); err == nil && len(tps) > 0 {
				return ctype.Prototype(f[2], &ctype.Func{Params: tps[0].Params, Result: &ctype.Void{}}), ""
			}
		}
	case "ufunc":
		if d, err := e.bins.DWARF(f[1]); err == nil {
			for _, i := range d.Lookup(f[2]) {
				return ctype.Prototype(f[2], i.Type()), ""
			}
		}
	case "offered":
		e.mu.Lock()
		t := e.offered[f[2]]
		e.mu.Unlock()
		if t != nil {
			return "", markdown([]Section{{"c", layoutOf(t)}})
		}
	case "var":
		if t := e.variableType(f[2], f[1]); t != nil {
			return ctype.Declare(t, f[2]), ""
		}
	case "type":
		module := f[1]
		if module == target.Kernel {
			module = ""
		}
		if t := e.typeByName(f[2], []string{module}); t != nil {
			if l := layoutOf(t); l != "" {
				return "", markdown([]Section{{"c", l}})
			}
			return ctype.Name(t), ""
		}
	}
	return "", ""
}
