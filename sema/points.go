package sema

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"stapkit/diag"
	"stapkit/syntax"
	"stapkit/tapsets"
	"stapkit/target/ctype"
)

// argKind is the kind of argument that a component has.
type argKind uint8

const (
	noArg argKind = iota
	numArg
	strArg
)

// key names a branch of the tree of probe points.
type key struct {
	name string
	arg  argKind
}

func (k key) String() string {
	switch k.arg {
	case numArg:
		return k.name + "(number)"
	case strArg:
		return k.name + "(string)"
	}
	return k.name
}

// comp is one component of a probe point without groups.
type comp struct {
	key
	str string // of strArg: the text as it stands between the quotes, escapes kept
	num int64
	// unknown: the argument is a script argument that nobody gave.
	unknown bool
	node    *syntax.Component
}

func (c comp) String() string {
	switch c.arg {
	case numArg:
		if c.num < 0 && (c.name == "data" || c.name == "function" || c.name == "statement") {
			return fmt.Sprintf("%s(%#x)", c.name, uint64(c.num)) // an address of the kernel
		}
		return c.name + "(" + strconv.FormatInt(c.num, 10) + ")"
	case strArg:
		return c.name + `("` + c.str + `")`
	}
	return c.name
}

// pointText writes components as a probe point.
func pointText(cs []comp) string {
	var b strings.Builder
	for i, c := range cs {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(c.String())
	}
	return b.String()
}

// point is a probe point without groups.
type point struct {
	comps      []comp
	optional   bool
	sufficient bool
	conds      []syntax.Expr
	node       *syntax.ProbePoint
	// dynamic: a script argument that nobody gave stands for a part of it.
	dynamic bool
}

func (p *point) text() string {
	s := pointText(p.comps)
	if p.sufficient {
		return s + "!"
	}
	if p.optional {
		return s + "?"
	}
	return s
}

// maxPoints bounds what brace groups and wildcards may multiply to.
const maxPoints = 100000

// expandGroups multiplies out the brace groups of a point, left-major.
func expandGroups(pp *syntax.ProbePoint) []point {
	out := []point{{optional: pp.Optional, sufficient: pp.Sufficient, node: pp}}
	if pp.Cond != nil {
		out[0].conds = []syntax.Expr{pp.Cond}
	}
	for _, c := range pp.Components {
		switch {
		case c.Group != nil:
			var inner []point
			for _, g := range c.Group {
				if g, ok := g.(*syntax.ProbePoint); ok {
					inner = append(inner, expandGroups(g)...)
				}
			}
			if len(out)*len(inner) > maxPoints {
				return nil
			}
			next := make([]point, 0, len(out)*len(inner))
			for _, a := range out {
				for _, b := range inner {
					n := a
					n.comps = append(append([]comp(nil), a.comps...), b.comps...)
					n.conds = append(append([]syntax.Expr(nil), a.conds...), b.conds...)
					n.optional = a.optional || b.optional
					n.sufficient = a.sufficient || b.sufficient
					n.dynamic = a.dynamic || b.dynamic
					next = append(next, n)
				}
			}
			out = next
		case c.Dynamic != nil:
			for i := range out {
				out[i].dynamic = true
			}
		default:
			k := comp{key: key{name: c.Name}, node: c}
			switch a := c.Arg.(type) {
			case *syntax.NumberLit:
				k.arg, k.num = numArg, a.Value
			case *syntax.StringLit:
				k.arg, k.str = strArg, a.Raw
			case *syntax.ScriptArg:
				k.unknown = true
				k.arg = numArg
				if a.Quoted {
					k.arg = strArg
				}
			}
			for i := range out {
				out[i].comps = append(out[i].comps[:len(out[i].comps):len(out[i].comps)], k)
			}
		}
	}
	return out
}

// tnode is a node of a tree of probe points: the built-in patterns or aliases.
type tnode struct {
	kids    map[key]*tnode
	build   *family
	pattern string
	aliases []libAlias
	dynamic *dynamicNode
	// load brings in the branches of a name, or with all those of every name; nil if
	// they are here.
	load func(name string, all bool)
}

// dynamicNode stands for branches whose names the target knows.
type dynamicNode struct {
	family  *family
	pattern string
	names   func(r *resolver) []string
}

// exists reports whether there is a branch of that name; without a target there may be.
func (d *dynamicNode) exists(r *resolver, name string) bool {
	if r.e.opt.Target == nil {
		return true
	}
	for _, n := range d.names(r) {
		if n == name {
			return true
		}
	}
	return false
}

func (n *tnode) child(k key) *tnode {
	if n == nil {
		return nil
	}
	if n.load != nil {
		n.load(k.name, false)
	}
	return n.kids[k]
}

func (n *tnode) grow(k key) *tnode {
	c := n.kids[k]
	if c == nil {
		c = &tnode{}
		if n.kids == nil {
			n.kids = map[key]*tnode{}
		}
		n.kids[k] = c
	}
	return c
}

// addAlias puts one name of an alias into a tree. It reports false when the name
// has wildcards, groups or parameters.
func (n *tnode) addAlias(a libAlias) bool {
	for _, c := range a.name.Components {
		if c.Group != nil || c.Dynamic != nil || c.Arg != nil || strings.Contains(c.Name, "*") {
			return false
		}
		n = n.grow(key{name: c.Name})
	}
	n.aliases = append(n.aliases, a)
	return true
}

// family resolves the probe points of one or several patterns.
type family struct {
	resolve func(r *resolver, in *request) ([]*Probe, *fail)
}

// builtins is the tree of built-in patterns.
var builtins = func() *tnode {
	root := &tnode{}
	for _, p := range patterns() {
		n := root
		for _, part := range strings.Split(p.text, ".") {
			k := key{name: part}
			switch {
			case strings.HasSuffix(part, "(number)"):
				k = key{strings.TrimSuffix(part, "(number)"), numArg}
			case strings.HasSuffix(part, "(string)"):
				k = key{strings.TrimSuffix(part, "(string)"), strArg}
			}
			n = n.grow(k)
		}
		n.build, n.pattern = p.family, p.text
	}
	root.grow(key{name: "lsm"}).dynamic = &dynamicNode{famLSM, "lsm.*", (*resolver).lsmHooks}
	return root
}()

// cursor stands at the same place in all trees.
type cursor struct {
	r     *resolver
	trees [3]*tnode // built-in, user's aliases, library's aliases
	top   bool
}

// at gives the cursor one component further; ok is false if nothing is there.
func (c cursor) at(k key) (next cursor, ok bool) {
	next.r = c.r
	if c.top {
		next.trees = [3]*tnode{builtins.child(k), c.r.userAliases.child(k), c.r.libTree(k.name).child(k)}
	} else {
		for i, t := range c.trees {
			next.trees[i] = t.child(k)
		}
		if t := c.trees[0]; t != nil && t.dynamic != nil && k.arg == noArg && next.trees[0] == nil && t.dynamic.exists(c.r, k.name) {
			next.trees[0] = &tnode{build: t.dynamic.family, pattern: t.dynamic.pattern}
		}
	}
	return next, next.trees != [3]*tnode{}
}

// keys lists the branches, sorted.
func (c cursor) keys() []key {
	seen := map[key]bool{}
	add := func(t *tnode) {
		if t != nil {
			if t.load != nil {
				t.load("", true)
			}
			for k := range t.kids {
				seen[k] = true
			}
		}
	}
	if c.top {
		add(builtins)
		add(c.r.userAliases)
		for _, name := range c.r.e.opt.Library.components() {
			add(c.r.libTree(name))
		}
	} else {
		for _, t := range c.trees {
			add(t)
		}
		if t := c.trees[0]; t != nil && t.dynamic != nil {
			for _, name := range t.dynamic.names(c.r) {
				seen[key{name: name}] = true
			}
		}
	}
	out := make([]key, 0, len(seen))
	for k := range seen {
		out = append(out, k)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].name != out[j].name {
			return out[i].name < out[j].name
		}
		return out[i].arg < out[j].arg
	})
	return out
}

// names lists the names of the branches for suggestions; at the top it does not
// read the library.
func (c cursor) names() []string {
	var out []string
	if c.top {
		for k := range builtins.kids {
			out = append(out, k.name)
		}
		if c.r.userAliases != nil {
			for k := range c.r.userAliases.kids {
				out = append(out, k.name)
			}
		}
		out = append(out, c.r.e.opt.Library.components()...)
	} else {
		for _, k := range c.keys() {
			out = append(out, k.name)
		}
	}
	sort.Strings(out)
	return compact(out)
}

// ends reports whether a probe point may end here.
func (c cursor) ends() bool {
	if c.top {
		return false
	}
	for _, t := range c.trees {
		if t != nil && (t.build != nil || len(t.aliases) > 0) {
			return true
		}
	}
	return false
}

func (c cursor) aliases() []libAlias {
	var out []libAlias
	for _, t := range c.trees {
		if t != nil {
			out = append(out, t.aliases...)
		}
	}
	return out
}

// fail is why a probe point cannot be resolved.
type fail struct {
	code diag.Code
	// node is the place; nil for the probe point as a whole.
	node    syntax.Node
	message string
	help    string
	// suggest gives names to append to the message; it may take long, so it is asked
	// only when the failure is reported.
	suggest func() string
	// chain are the probe points on the way, innermost first.
	chain []*syntax.ProbePoint
	// hard: "?" does not forgive it.
	hard bool
}

func failf(code diag.Code, node syntax.Node, format string, args ...any) *fail {
	return &fail{code: code, node: node, message: fmt.Sprintf(format, args...)}
}

// text is the message with its suggestions.
func (f *fail) text() string {
	if f.suggest != nil {
		f.message += f.suggest()
		f.suggest = nil
	}
	return f.message
}

// suggesting sets what suggestions are made from: a title and names.
func (f *fail) suggesting(title string, names func() []string) *fail {
	f.suggest = func() string {
		if s := names(); len(s) > 0 {
			return " (" + title + ": " + strings.Join(s, ", ") + ")"
		}
		return ""
	}
	return f
}

func (f *fail) withHelp(format string, args ...any) *fail {
	f.help = fmt.Sprintf(format, args...)
	return f
}

// request is one point on its way to being resolved.
type request struct {
	comps []comp
	// pattern is the built-in pattern that comps fit.
	pattern string
	probe   *Probe // what is known so far; resolvers copy it
	node    *syntax.ProbePoint
	// written is the point as the script has it, also when wildcards of components
	// were expanded.
	optional bool
}

// arg gives the component of that name, nil if there is none.
func (in *request) arg(name string) *comp {
	for i := range in.comps {
		if in.comps[i].name == name {
			return &in.comps[i]
		}
	}
	return nil
}

func (in *request) has(name string) bool { return in.arg(name) != nil }

// num gives the number of a component, or def.
func (in *request) num(name string, def int64) int64 {
	if c := in.arg(name); c != nil && c.arg == numArg {
		return c.num
	}
	return def
}

// str gives the string of a component, or "".
func (in *request) str(name string) string {
	if c := in.arg(name); c != nil && c.arg == strArg {
		return c.str
	}
	return ""
}

// unknown reports whether an argument is not known.
func (in *request) unknown() bool {
	for _, c := range in.comps {
		if c.unknown {
			return true
		}
	}
	return false
}

// make gives a probe for the request with its point's text.
func (in *request) make(f Family, text string) *Probe {
	p := *in.probe
	p.Family, p.Point = f, text
	return &p
}

// resolver turns probe points into probes.
type resolver struct {
	e           *elab
	userAliases *tnode
	libTrees    map[string]*tnode
	count       int // points resolved so far
}

// libTree gives the tree of the library's aliases with a first component, parsed on
// demand.
func (r *resolver) libTree(name string) *tnode {
	t, ok := r.libTrees[name]
	if ok {
		return t
	}
	lib := r.e.opt.Library
	add := func(list []libAlias) {
		for _, a := range list {
			t.addAlias(a)
		}
	}
	if seconds, ok := lib.splits(name); !ok {
		if list := lib.aliases(name); len(list) > 0 {
			t = &tnode{}
			add(list)
		}
	} else if len(seconds) > 0 {
		t = &tnode{}
		add(lib.aliasesFor(name, ""))
		loaded := map[string]bool{"": true}
		t.grow(key{name: name}).load = func(second string, all bool) {
			for _, s := range seconds {
				if (all || s == second) && !loaded[s] {
					loaded[s] = true
					add(lib.aliasesFor(name, s))
				}
			}
		}
	}
	r.libTrees[name] = t
	return t
}

// points resolves a list of points, as of a probe or an alias.
func (r *resolver) points(list []syntax.Point, proto *Probe, suffix []comp, depth int) ([]*Probe, []*fail) {
	var out []*Probe
	var fails []*fail
	for _, pt := range list {
		pp, ok := pt.(*syntax.ProbePoint)
		if !ok {
			continue
		}
		expanded := expandGroups(pp)
		if expanded == nil {
			fails = append(fails, failf(codePointMismatch, pp, "probe point expands to more than %d points", maxPoints))
			continue
		}
		for i := range expanded {
			if r.e.stopped() {
				return out, fails
			}
			p := &expanded[i]
			if p.dynamic {
				r.e.unresolved = true
				continue
			}
			p.comps = append(p.comps[:len(p.comps):len(p.comps)], suffix...)
			got, f := r.point(p, proto, depth)
			if f != nil {
				f.chain = append(f.chain, pp)
				if f.hard || !p.optional && !proto.Optional {
					fails = append(fails, f)
				}
			}
			out = append(out, got...)
			if p.sufficient && len(got) > 0 {
				return out, fails
			}
		}
	}
	return out, fails
}

// maxAliasDepth bounds chains of aliases.
const maxAliasDepth = 40

// point resolves one point.
func (r *resolver) point(p *point, proto *Probe, depth int) ([]*Probe, *fail) {
	if depth > maxAliasDepth {
		return nil, failf(codeAliasLoop, p.node, "probe aliases are nested too deeply")
	}
	if r.count++; r.count > maxPoints {
		f := failf(codePointMismatch, p.node, "probe points expand to more than %d", maxPoints)
		f.hard = true
		return nil, f
	}
	base := *proto
	base.Optional = base.Optional || p.optional
	base.Sufficient = base.Sufficient || p.sufficient
	base.Conds = base.Conds[:len(base.Conds):len(base.Conds)]
	for _, c := range p.conds {
		base.Conds = append(base.Conds, &Cond{X: c})
	}
	return r.walk(cursor{r: r, top: true}, p, nil, p.comps, &base, depth, 0)
}

// walk matches the components that are left from a cursor on. done are those
// matched so far, wildcards replaced.
func (r *resolver) walk(c cursor, p *point, done, rest []comp, proto *Probe, depth, wild int) ([]*Probe, *fail) {
	if len(rest) == 0 {
		return r.end(c, p, done, nil, proto, depth)
	}
	k := rest[0]
	if strings.Contains(k.name, "*") && k.arg == noArg || strings.Contains(k.name, "*") && k.name != "*" {
		return r.wildcard(c, p, done, rest, proto, depth, wild)
	}
	if next, ok := c.at(k.key); ok {
		return r.walk(next, p, append(done[:len(done):len(done)], k), rest[1:], proto, depth, wild)
	}
	if next, ok := c.at(key{name: k.name, arg: strArg + numArg - k.arg}); ok && k.unknown {
		k.arg = strArg + numArg - k.arg
		return r.walk(next, p, append(done[:len(done):len(done)], k), rest[1:], proto, depth, wild)
	}
	// What an alias does not know is a suffix for the points that it stands for.
	if len(c.aliases()) > 0 {
		return r.end(c, p, done, rest, proto, depth)
	}
	if c.ends() {
		return nil, failf(codePointSuffix, k.node, "invalid suffix for probe").withHelp("%s stands alone", pointText(done))
	}
	f := failf(codePointMismatch, k.node, "probe point mismatch: unknown '%s'", pointText(append(done[:len(done):len(done)], k))).
		suggesting("similar", func() []string { return ctype.Similar(k.name, c.names(), 5) })
	var forms []string
	for _, arg := range []argKind{noArg, numArg, strArg} {
		if _, ok := c.at(key{k.name, arg}); ok {
			forms = append(forms, key{k.name, arg}.String())
		}
	}
	if len(forms) > 0 {
		f.help = "write " + strings.Join(forms, " or ")
	}
	return nil, f
}

// wildcard expands a component with "*" over the branches of a cursor, and one with
// "**" over several levels.
func (r *resolver) wildcard(c cursor, p *point, done, rest []comp, proto *Probe, depth, wild int) ([]*Probe, *fail) {
	k := rest[0]
	deep := strings.Contains(k.name, "**")
	var out []*Probe
	var first *fail
	type once struct {
		alias *syntax.AliasDecl
		point string
	}
	seen := map[once]bool{}
	try := func(next cursor, matched []comp) {
		got, f := r.walk(next, p, append(done[:len(done):len(done)], matched...), rest[1:], proto, depth, wild+1)
		for _, g := range got {
			// What stapkit's library declares under several names is one point.
			if a := g.synonyms(); a != nil {
				if k := (once{a, g.Point}); seen[k] {
					continue
				} else {
					seen[k] = true
				}
			}
			out = append(out, g)
		}
		if f != nil && first == nil {
			first = f
		}
	}
	var descend func(c cursor, prefix string, matched []comp)
	descend = func(c cursor, prefix string, matched []comp) {
		for _, kk := range c.keys() {
			if kk.arg != k.arg && !(deep && kk.arg == noArg) {
				continue
			}
			next, _ := c.at(kk)
			m := append(matched[:len(matched):len(matched)], comp{key: kk, str: k.str, num: k.num, node: k.node})
			if kk.arg == k.arg && glob(k.name, prefix+kk.name) {
				try(next, m)
			}
			if deep && kk.arg == noArg && len(m) < 8 {
				descend(next, prefix+kk.name+".", m)
			}
		}
	}
	descend(c, "", nil)
	if len(out) == 0 {
		if r.e.unresolved && first == nil {
			return nil, nil
		}
		if first != nil {
			return nil, first // something fits, and this is why it does not work
		}
		return nil, failf(codePointMismatch, k.node, "probe point mismatch: didn't find any wildcard matches").
			suggesting("similar", func() []string { return ctype.Similar(strings.ReplaceAll(k.name, "*", ""), c.names(), 5) })
	}
	// A branch that cannot be resolved is no error as long as another can.
	return out, nil
}

// synonyms gives the alias of stapkit's own library with more names than one that a
// probe came by, nil if there is none.
func (p *Probe) synonyms() *syntax.AliasDecl {
	for _, d := range p.Chain {
		if d.Alias != nil && len(d.Alias.Names) > 1 && strings.HasPrefix(d.Alias.File().Name, tapsets.Prefix) {
			return d.Alias
		}
	}
	return nil
}

// end resolves a point that has come to the end of its components, up to a suffix
// that an alias passes on.
func (r *resolver) end(c cursor, p *point, done, suffix []comp, proto *Probe, depth int) ([]*Probe, *fail) {
	var out []*Probe
	var first *fail
	found := false
	if t := c.trees[0]; t != nil && t.build != nil && len(suffix) == 0 {
		found = true
		in := &request{comps: done, pattern: t.pattern, probe: proto, node: p.node, optional: proto.Optional}
		got, f := t.build.resolve(r, in)
		for _, g := range got {
			g.Chain = append(r.derivation(p, done, nil, nil), g.Chain...)
		}
		out, first = append(out, got...), f
	}
	for _, a := range c.aliases() {
		found = true
		got, f := r.alias(a, p, done, suffix, proto, depth)
		out = append(out, got...)
		if f != nil && first == nil {
			first = f
		}
	}
	if !found {
		names := c.names()
		return nil, failf(codePointTruncated, last(p.comps).node, "probe point truncated (follow: %s)", strings.Join(firstN(names, 10), ", "))
	}
	return out, first
}

func last(cs []comp) comp {
	if len(cs) == 0 {
		return comp{}
	}
	return cs[len(cs)-1]
}

func firstN(s []string, n int) []string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// alias resolves the points that an alias stands for.
func (r *resolver) alias(a libAlias, p *point, done, suffix []comp, proto *Probe, depth int) ([]*Probe, *fail) {
	for _, d := range proto.Chain {
		if d.Alias == a.decl {
			return nil, &fail{code: codeAliasLoop, node: p.node, message: fmt.Sprintf("probe alias %s refers to itself", p.text()), hard: true}
		}
	}
	base := *proto
	base.Chain = append(r.derivation(p, done, suffix, a.decl), proto.Chain...)
	blocks := make([]*syntax.Block, 0, len(proto.Blocks)+2)
	if a.decl.Op == syntax.AddAssign {
		blocks = append(blocks, proto.Blocks...)
		if a.decl.Body != nil {
			blocks = append(blocks, a.decl.Body)
		}
	} else {
		if a.decl.Body != nil {
			blocks = append(blocks, a.decl.Body)
		}
		blocks = append(blocks, proto.Blocks...)
		if a.decl.Epilogue != nil {
			blocks = append(blocks, a.decl.Epilogue)
		}
	}
	base.Blocks = blocks
	out, fails := r.points(a.decl.Points, &base, suffix, depth+1)
	if len(fails) > 0 {
		// Some points of the alias exist and others do not: SystemTap refuses.
		return nil, fails[0]
	}
	return out, nil
}

// derivation is the step of a chain for one point: the point with its wildcards
// replaced, then, if it had any, as it was written.
func (r *resolver) derivation(p *point, done, suffix []comp, alias *syntax.AliasDecl) []Derivation {
	written := p.text() + r.condText(p.conds)
	concrete := pointText(append(done[:len(done):len(done)], suffix...))
	if concrete == pointText(p.comps) {
		return []Derivation{{Point: written, Node: p.node, Alias: alias}}
	}
	return []Derivation{{Point: concrete, Node: p.node, Alias: alias}, {Point: written, Node: p.node}}
}

// condText writes conditions for listings.
func (r *resolver) condText(conds []syntax.Expr) string {
	s := ""
	for _, c := range conds {
		s += " if (" + syntax.ExprString(c) + ")"
	}
	return s
}

// similar writes suggestions for a misspelt name.
func similar(name string, candidates []string) string {
	s := ctype.Similar(name, candidates, 5)
	if len(s) == 0 {
		return ""
	}
	return " (similar: " + strings.Join(s, ", ") + ")"
}

// glob reports whether name fits a pattern as fnmatch does: "*", "?", "[…]".
func glob(pattern, name string) bool {
	if !strings.ContainsAny(pattern, "*?[\\") {
		return pattern == name
	}
	// Iterative with one point to go back to: linear in practice, quadratic at worst.
	pi, ni, star, mark := 0, 0, -1, 0
	for ni < len(name) {
		if pi < len(pattern) {
			switch pattern[pi] {
			case '*':
				star, mark = pi, ni
				pi++
				continue
			case '?':
				pi++
				ni++
				continue
			case '[':
				if n, ok := globClass(pattern[pi:], name[ni]); n > 0 {
					if ok {
						pi += n
						ni++
						continue
					}
					break
				}
				if name[ni] == '[' {
					pi++
					ni++
					continue
				}
			case '\\':
				if pi+1 < len(pattern) && pattern[pi+1] == name[ni] {
					pi += 2
					ni++
					continue
				}
			default:
				if pattern[pi] == name[ni] {
					pi++
					ni++
					continue
				}
			}
		}
		if star < 0 {
			return false
		}
		mark++
		pi, ni = star+1, mark
	}
	for pi < len(pattern) && pattern[pi] == '*' {
		pi++
	}
	return pi == len(pattern)
}

// globClass matches c with the bracket expression at the start of p; n is its
// length, 0 if it is none.
func globClass(p string, c byte) (n int, ok bool) {
	i, neg := 1, false
	if i < len(p) && (p[i] == '!' || p[i] == '^') {
		neg = true
		i++
	}
	for first := true; i < len(p); first = false {
		if p[i] == ']' && !first {
			return i + 1, ok != neg
		}
		lo, hi := p[i], p[i]
		if i+2 < len(p) && p[i+1] == '-' && p[i+2] != ']' {
			hi = p[i+2]
			i += 2
		}
		ok = ok || lo <= c && c <= hi
		i++
	}
	return 0, false
}
