package lsp

import (
	"errors"
	"sort"
	"strings"

	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/diag"
	"stapkit/query"
	"stapkit/syntax"
)

func (c *call) locations(q *query.Snapshot, list []diag.Range) []protocol.Location {
	out := []protocol.Location{}
	for _, r := range list {
		if l, ok := c.location(q.Env, r); ok {
			out = append(out, l)
		}
	}
	return out
}

func (s *server) definition(ctx *glsp.Context, p *protocol.DefinitionParams) (any, error) {
	c := s.of(ctx)
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, c.ctx.Err()
	}
	off := s.offset(q.Mapper, p.Position)
	out := c.locations(q, q.Definitions(off))
	if len(out) > 0 {
		return out, nil
	}
	// Members are declared in the text of their struct.
	if t, start, end, ok := q.MemberDefinition(off); ok {
		m := syntax.NewMapper(t.Name, []byte(t.Text))
		out = append(out, protocol.Location{URI: s.typeURI(t), Range: s.rangeOf(m, start, end)})
	}
	return out, nil
}

func (s *server) declaration(ctx *glsp.Context, p *protocol.DeclarationParams) (any, error) {
	return s.definition(ctx, &protocol.DefinitionParams{TextDocumentPositionParams: p.TextDocumentPositionParams})
}

func (s *server) typeDefinition(ctx *glsp.Context, p *protocol.TypeDefinitionParams) (any, error) {
	c := s.of(ctx)
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, c.ctx.Err()
	}
	t, ok := q.TypeDefinition(s.offset(q.Mapper, p.Position))
	if !ok {
		return nil, nil
	}
	return []protocol.Location{{URI: s.typeURI(t)}}, nil
}

// typeURI is where the text of a C type can be opened.
func (s *server) typeURI(t *query.TypeText) string {
	name := typePages + strings.ReplaceAll(t.Name, " ", "_") + ".h"
	s.mu.Lock()
	if s.types == nil {
		s.types = map[string]string{}
	}
	if s.types[name] != t.Text {
		s.types[name] = t.Text
		delete(s.written, name)
	}
	s.mu.Unlock()
	return s.virtualURI(name)
}

// others gives the snapshots of the scripts that may name a symbol which is shared:
// open documents, and the scripts of the workspace's folders and library directories.
func (c *call) others(q *query.Snapshot, y *query.Symbol) []*query.Snapshot {
	out := []*query.Snapshot{q}
	if !y.Shared {
		return out
	}
	seen := map[string]bool{q.Name: true}
	add := func(name string, text []byte, d *document) {
		if seen[name] || !strings.Contains(string(text), lastPart(y.Name)) {
			return
		}
		seen[name] = true
		if d == nil {
			d = newDocument(uriOf(name), 0, text)
		}
		out = append(out, d.snapshot(q.Env))
	}
	for _, d := range c.view.docs {
		add(d.name, d.text, d)
	}
	names := c.s.scripts(c.ctx)
	for name := range q.Env.LibraryFiles() {
		names = append(names, name)
	}
	for _, name := range names {
		if c.ctx.Err() != nil {
			break
		}
		if text, ok := readScript(name); ok {
			add(name, text, nil)
		}
	}
	return out
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

func (s *server) references(ctx *glsp.Context, p *protocol.ReferenceParams) ([]protocol.Location, error) {
	c := s.of(ctx)
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, c.ctx.Err()
	}
	y := q.SymbolAt(s.offset(q.Mapper, p.Position))
	if y == nil {
		return nil, nil
	}
	out := []protocol.Location{}
	inFile := map[string]bool{}
	for _, o := range c.others(q, y) {
		inFile[o.Name] = true
		for _, occ := range o.Occurrences(y) {
			if occ.Decl && !p.Context.IncludeDeclaration {
				continue
			}
			out = append(out, protocol.Location{URI: c.uri(o.Name), Range: s.rangeOf(o.Mapper, occ.Start, occ.End)})
		}
	}
	if p.Context.IncludeDeclaration {
		for _, r := range y.Decls { // of the embedded library
			if !inFile[r.Start.File] {
				out = append(out, c.locations(q, []diag.Range{r})...)
			}
		}
	}
	return out, c.ctx.Err()
}

func (s *server) highlight(ctx *glsp.Context, p *protocol.DocumentHighlightParams) ([]protocol.DocumentHighlight, error) {
	c := s.of(ctx)
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, c.ctx.Err()
	}
	y := q.SymbolAt(s.offset(q.Mapper, p.Position))
	if y == nil {
		return nil, nil
	}
	out := []protocol.DocumentHighlight{}
	for _, occ := range q.Occurrences(y) {
		k := protocol.DocumentHighlightKindRead
		if occ.Write {
			k = protocol.DocumentHighlightKindWrite
		}
		out = append(out, protocol.DocumentHighlight{Range: s.rangeOf(q.Mapper, occ.Start, occ.End), Kind: &k})
	}
	return out, nil
}

func (s *server) prepareRename(ctx *glsp.Context, p *protocol.PrepareRenameParams) (any, error) {
	c := s.of(ctx)
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, c.ctx.Err()
	}
	y := q.SymbolAt(s.offset(q.Mapper, p.Position))
	if err := q.CheckRename(y, ""); err != nil {
		return nil, err
	}
	return protocol.RangeWithPlaceholder{Range: s.rangeOf(q.Mapper, y.Start, y.End), Placeholder: y.Name}, nil
}

func (s *server) rename(ctx *glsp.Context, p *protocol.RenameParams) (*protocol.WorkspaceEdit, error) {
	c := s.of(ctx)
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, errors.New("the script is not there, or was not read in time")
	}
	if p.NewName == "" {
		return nil, errors.New("a new name is missing")
	}
	y := q.SymbolAt(s.offset(q.Mapper, p.Position))
	if err := q.CheckRename(y, p.NewName); err != nil {
		return nil, err
	}
	to := p.NewName
	if y.Kind == query.MacroSymbol || y.Kind == query.MacroParamSymbol {
		to = strings.TrimPrefix(to, "@")
	}
	edits := map[string][]query.Edit{}
	mappers := map[string]*query.Snapshot{}
	for _, o := range c.others(q, y) {
		for _, occ := range o.Occurrences(y) {
			uri := c.uri(o.Name)
			edits[uri] = append(edits[uri], query.Edit{Start: occ.Start, End: occ.End, Text: to})
			mappers[uri] = o
		}
	}
	if c.ctx.Err() != nil {
		return nil, c.ctx.Err()
	}
	w := &workspaceEdit{c: c}
	for _, uri := range sortedKeys(edits) {
		w.add(uri, mappers[uri], edits[uri])
	}
	return w.edit(), nil
}

func sortedKeys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// workspaceEdit gathers edits in the form that the client takes.
type workspaceEdit struct {
	c       *call
	changes map[string][]protocol.TextEdit
}

func (w *workspaceEdit) add(uri string, q *query.Snapshot, list []query.Edit) {
	if w.changes == nil {
		w.changes = map[string][]protocol.TextEdit{}
	}
	for _, e := range list {
		w.changes[uri] = append(w.changes[uri], protocol.TextEdit{Range: w.c.s.rangeOf(q.Mapper, e.Start, e.End), NewText: e.Text})
	}
}

func (w *workspaceEdit) edit() *protocol.WorkspaceEdit {
	if !w.c.s.client.resources {
		return &protocol.WorkspaceEdit{Changes: w.changes}
	}
	out := &protocol.WorkspaceEdit{DocumentChanges: []any{}}
	for _, uri := range sortedKeys(w.changes) {
		id := protocol.OptionalVersionedTextDocumentIdentifier{TextDocumentIdentifier: protocol.TextDocumentIdentifier{URI: uri}}
		if d := w.c.view.docs[uri]; d != nil {
			id.Version = &d.version
		}
		edits := make([]any, 0, len(w.changes[uri]))
		for _, e := range w.changes[uri] {
			edits = append(edits, e)
		}
		out.DocumentChanges = append(out.DocumentChanges, protocol.TextDocumentEdit{TextDocument: id, Edits: edits})
	}
	return out
}

// ---- Call hierarchy ----

func (s *server) hierarchyItem(c *call, q *query.Snapshot, o query.Outline) protocol.CallHierarchyItem {
	it := protocol.CallHierarchyItem{
		Name: o.Name, Kind: outlineKind(o), URI: c.uri(q.Name),
		Range: s.rangeOf(q.Mapper, o.Start, o.End), SelectionRange: s.rangeOf(q.Mapper, o.NameStart, o.NameEnd),
	}
	if o.Detail != "" {
		it.Detail = &o.Detail
	}
	return it
}

func (s *server) prepareCallHierarchy(ctx *glsp.Context, p *protocol.CallHierarchyPrepareParams) ([]protocol.CallHierarchyItem, error) {
	c := s.of(ctx)
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, c.ctx.Err()
	}
	off := s.offset(q.Mapper, p.Position)
	if y := q.SymbolAt(off); y != nil && y.Kind == query.FunctionSymbol {
		var out []protocol.CallHierarchyItem
		for _, r := range y.Decls {
			out = append(out, c.functionItems(q, y.Name, r)...)
		}
		return out, nil
	}
	for _, o := range q.Outlines() {
		if o.Start <= off && off <= o.End && (o.Kind == query.ProbeSymbol || o.Kind == query.AliasSymbol || o.Kind == query.FunctionSymbol) {
			return []protocol.CallHierarchyItem{s.hierarchyItem(c, q, o)}, nil
		}
	}
	return nil, nil
}

// functionItems makes the item of a function declared at r, wherever that is.
func (c *call) functionItems(q *query.Snapshot, name string, r diag.Range) []protocol.CallHierarchyItem {
	o := q
	if r.Start.File != q.Name {
		text, ok := c.text(q.Env, r.Start.File)
		if !ok {
			return nil
		}
		o = q.Env.Snapshot(r.Start.File, text)
	}
	for _, out := range o.Outlines() {
		if out.Kind == query.FunctionSymbol && out.Name == name && out.NameStart == r.Start.Offset {
			return []protocol.CallHierarchyItem{c.s.hierarchyItem(c, o, out)}
		}
	}
	return nil
}

func (s *server) incomingCalls(ctx *glsp.Context, p *protocol.CallHierarchyIncomingCallsParams) ([]protocol.CallHierarchyIncomingCall, error) {
	c := s.of(ctx)
	q := c.snapshot(p.Item.URI)
	if q == nil {
		return nil, nil
	}
	y := q.SymbolAt(s.offset(q.Mapper, p.Item.SelectionRange.Start))
	if y == nil || y.Kind != query.FunctionSymbol {
		return nil, nil // nothing calls a probe
	}
	out := []protocol.CallHierarchyIncomingCall{}
	y.Shared = y.Shared || q.Env.IsLibrary(q.Name)
	for _, o := range c.others(q, y) {
		for _, caller := range o.Incoming(y.Name) {
			in := protocol.CallHierarchyIncomingCall{From: s.hierarchyItem(c, o, caller.Item)}
			for _, occ := range caller.Calls {
				in.FromRanges = append(in.FromRanges, s.rangeOf(o.Mapper, occ.Start, occ.End))
			}
			out = append(out, in)
		}
	}
	return out, c.ctx.Err()
}

func (s *server) outgoingCalls(ctx *glsp.Context, p *protocol.CallHierarchyOutgoingCallsParams) ([]protocol.CallHierarchyOutgoingCall, error) {
	c := s.of(ctx)
	q := c.snapshot(p.Item.URI)
	if q == nil {
		return nil, nil
	}
	calls := q.Outgoing(s.offset(q.Mapper, p.Item.Range.Start))
	out := []protocol.CallHierarchyOutgoingCall{}
	for _, name := range sortedKeys(calls) {
		var ranges []protocol.Range
		for _, occ := range calls[name] {
			ranges = append(ranges, s.rangeOf(q.Mapper, occ.Start, occ.End))
		}
		for _, f := range q.Functions(name) {
			r := query.NameRange(f)
			for _, it := range c.functionItems(q, name, r) {
				out = append(out, protocol.CallHierarchyOutgoingCall{To: it, FromRanges: ranges})
			}
		}
	}
	return out, nil
}
