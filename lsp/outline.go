package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/query"
)

func outlineKind(o query.Outline) protocol.SymbolKind {
	switch o.Kind {
	case query.FunctionSymbol:
		return protocol.SymbolKindFunction
	case query.AliasSymbol:
		return protocol.SymbolKindInterface
	case query.MacroSymbol:
		return protocol.SymbolKindConstant
	case query.GlobalSymbol:
		if o.Array {
			return protocol.SymbolKindArray
		}
		return protocol.SymbolKindVariable
	}
	return protocol.SymbolKindEvent
}

func (s *server) documentSymbol(ctx *glsp.Context, p *protocol.DocumentSymbolParams) (any, error) {
	c := s.of(ctx)
	q := c.snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	list := q.Outlines()
	if !s.client.hierarchical {
		out := []protocol.SymbolInformation{}
		for _, o := range list {
			out = append(out, protocol.SymbolInformation{Name: o.Name, Kind: outlineKind(o),
				Location: protocol.Location{URI: p.TextDocument.URI, Range: s.rangeOf(q.Mapper, o.Start, o.End)}})
		}
		return out, nil
	}
	out := []protocol.DocumentSymbol{}
	for _, o := range list {
		d := protocol.DocumentSymbol{Name: o.Name, Kind: outlineKind(o), Range: s.rangeOf(q.Mapper, o.Start, o.End),
			SelectionRange: s.rangeOf(q.Mapper, o.NameStart, o.NameEnd)}
		if o.Detail != "" {
			d.Detail = &o.Detail
		}
		out = append(out, d)
	}
	return out, nil
}

// maxSymbols bounds an answer over the workspace.
const maxSymbols = 500

func (s *server) workspaceSymbol(ctx *glsp.Context, p *protocol.WorkspaceSymbolParams) ([]protocol.SymbolInformation, error) {
	c := s.of(ctx)
	out := []protocol.SymbolInformation{}
	add := func(q *query.Snapshot) bool {
		for _, o := range q.Outlines() {
			if !query.Matches(p.Query, o.Name) {
				continue
			}
			out = append(out, protocol.SymbolInformation{Name: o.Name, Kind: outlineKind(o), ContainerName: ptr(filepath.Base(q.Name)),
				Location: protocol.Location{URI: c.uri(q.Name), Range: s.rangeOf(q.Mapper, o.NameStart, o.NameEnd)}})
		}
		return len(out) < maxSymbols && c.ctx.Err() == nil
	}
	seen := map[string]bool{}
	for _, uri := range sortedKeys(c.view.docs) {
		d := c.view.docs[uri]
		seen[d.name] = true
		if !add(d.snapshot(s.envs.forDocument(c.ctx, d.name, d.text))) {
			return out, c.ctx.Err()
		}
	}
	for _, name := range s.scripts(c.ctx) {
		if seen[name] {
			continue
		}
		text, ok := readScript(name)
		if !ok {
			continue
		}
		if !add(newDocument(uriOf(name), 0, text).snapshot(s.envs.forDocument(c.ctx, name, text))) {
			break
		}
	}
	return out, c.ctx.Err()
}

func (s *server) folding(ctx *glsp.Context, p *protocol.FoldingRangeParams) ([]protocol.FoldingRange, error) {
	q := s.of(ctx).snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	out := []protocol.FoldingRange{}
	for _, f := range q.Folds() {
		a, b := s.position(q.Mapper, f.Start), s.position(q.Mapper, f.End)
		r := protocol.FoldingRange{StartLine: a.Line, StartCharacter: &a.Character, EndLine: b.Line, EndCharacter: &b.Character}
		if f.Kind == query.CommentFold {
			r.Kind = ptr("comment")
		} else if b.Line > a.Line+1 {
			// The line with the closing brace stays in sight.
			end := s.position(q.Mapper, s.offset(q.Mapper, protocol.Position{Line: b.Line, Character: 0})-1)
			r.EndLine, r.EndCharacter = end.Line, &end.Character
		}
		out = append(out, r)
	}
	return out, nil
}

func (s *server) selection(ctx *glsp.Context, p *protocol.SelectionRangeParams) ([]protocol.SelectionRange, error) {
	q := s.of(ctx).snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	out := []protocol.SelectionRange{}
	for _, pos := range p.Positions {
		var outer *protocol.SelectionRange
		list := q.Selections(s.offset(q.Mapper, pos))
		for i := len(list) - 1; i >= 0; i-- {
			outer = &protocol.SelectionRange{Range: s.rangeOf(q.Mapper, list[i].Start, list[i].End), Parent: outer}
		}
		out = append(out, *outer)
	}
	return out, nil
}

func (s *server) signatureHelp(ctx *glsp.Context, p *protocol.SignatureHelpParams) (*protocol.SignatureHelp, error) {
	c := s.of(ctx)
	q := c.snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	got := q.Signatures(s.offset(q.Mapper, p.Position))
	if got == nil {
		return nil, nil
	}
	out := &protocol.SignatureHelp{ActiveSignature: ptr(uint32(got.Active)), ActiveParameter: ptr(uint32(got.Param))}
	for _, sig := range got.List {
		info := protocol.SignatureInformation{Label: sig.Label}
		if sig.Doc != "" {
			info.Documentation = s.markup(sig.Doc)
		}
		for i, sp := range sig.Params {
			// Labels are given as texts, which clients of any age and encoding find again.
			pi := protocol.ParameterInformation{Label: sig.Label[sp[0]:sp[1]]}
			if i < len(sig.ParamDocs) && sig.ParamDocs[i] != "" {
				pi.Documentation = sig.ParamDocs[i]
			}
			info.Parameters = append(info.Parameters, pi)
		}
		out.Signatures = append(out.Signatures, info)
	}
	return out, nil
}

func (s *server) inlayHints(c *call, params json.RawMessage) (any, error) {
	var p inlayHintParams
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, err
	}
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, c.ctx.Err()
	}
	st := s.envs.current()
	from, to := s.span(q.Mapper, p.Range)
	out := []inlayHint{}
	for _, h := range q.Hints(from, to) {
		hint := inlayHint{Position: s.position(q.Mapper, h.Off), Label: h.Label}
		switch h.Kind {
		case query.TypeHint:
			if !on(st.InlayHints.Types) {
				continue
			}
			hint.Kind = 1
		case query.MatchHint:
			if !on(st.InlayHints.Matches) {
				continue
			}
			hint.PaddingLeft = true
			hint.Label = strings.TrimSpace(h.Label)
		case query.ParameterHint:
			if !on(st.InlayHints.ParameterNames) {
				continue
			}
			hint.Kind, hint.PaddingRight = 2, true
		}
		if h.Tooltip != "" {
			hint.Tooltip = ptr(s.markup(h.Tooltip))
		}
		out = append(out, hint)
	}
	return out, nil
}

func (s *server) codeLens(ctx *glsp.Context, p *protocol.CodeLensParams) ([]protocol.CodeLens, error) {
	c := s.of(ctx)
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, c.ctx.Err()
	}
	out := []protocol.CodeLens{}
	if !on(s.envs.current().CodeLens) {
		return out, nil
	}
	lens := func(start, end int, title, command string, args ...any) {
		out = append(out, protocol.CodeLens{Range: s.rangeOf(q.Mapper, start, end), Command: &protocol.Command{Title: title, Command: command, Arguments: args}})
	}
	list := q.Lenses()
	if len(list) > 0 && s.client.lensCommands {
		lens(list[0].Start, list[0].End, "run", "stapkit.run", p.TextDocument.URI)
		lens(list[0].Start, list[0].End, "build bundle", "stapkit.build", p.TextDocument.URI)
	}
	for _, l := range list {
		title := fmt.Sprintf("matches %d probes", l.Matches)
		if l.Matches == 1 {
			title = "matches 1 probe"
		}
		if s.client.lensCommands {
			lens(l.Start, l.End, title, "stapkit.showMatches", p.TextDocument.URI, l.Points)
		} else {
			lens(l.Start, l.End, title, "")
		}
	}
	return out, nil
}

func (s *server) documentLink(ctx *glsp.Context, p *protocol.DocumentLinkParams) ([]protocol.DocumentLink, error) {
	q := s.of(ctx).snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	out := []protocol.DocumentLink{}
	for _, l := range q.Links() {
		target := l.URL
		if l.Code != "" {
			if _, ok := virtualText(errorPages + l.Code + ".md"); !ok {
				continue
			}
			target = s.virtualURI(errorPages + l.Code + ".md")
		}
		out = append(out, protocol.DocumentLink{Range: s.rangeOf(q.Mapper, l.Start, l.End), Target: &target})
	}
	return out, nil
}

// The commands that a client can have run.
const (
	commandTargets      = "stapkit.targets"      // lists what can be chosen: {current, targets}
	commandChooseTarget = "stapkit.chooseTarget" // argument: a target, or "" for that of the settings
	commandStatus       = "stapkit.status"       // what a status line shows: {target, notes}
	commandMatches      = "stapkit.matches"      // arguments: document, probe points; lists what they match
	commandProbeAt      = "stapkit.probeAt"      // arguments: document, line from 0; the probe points of the probe there, or of the one before
	commandContent      = "stapkit.content"      // argument: a virtual document; its text
)

func (s *server) executeCommand(ctx *glsp.Context, p *protocol.ExecuteCommandParams) (any, error) {
	c := s.of(ctx)
	text := func(i int) string {
		if i < len(p.Arguments) {
			v, _ := p.Arguments[i].(string)
			return v
		}
		return ""
	}
	switch p.Command {
	case commandTargets:
		return map[string]any{"current": s.envs.targetSpec(), "targets": s.envs.targetList()}, nil
	case commandChooseTarget:
		spec := text(0)
		old := s.envs.targetSpec()
		s.envs.choose(spec)
		t := s.envs.target(s.envs.targetSpec())
		select {
		case <-t.ready:
		case <-c.ctx.Done():
			return nil, c.ctx.Err()
		}
		if t.err != nil && spec != "none" && spec != "" {
			s.envs.choose(old)
			return nil, fmt.Errorf("%s cannot be opened: %w", spec, t.err)
		}
		s.refresh()
		return s.status(c.ctx), nil
	case commandStatus:
		return s.status(c.ctx), nil
	case commandMatches:
		q := c.snapshot(text(0))
		if q == nil {
			return nil, errors.New("the script is not open")
		}
		return q.List(text(1)), nil
	case commandProbeAt:
		q := c.elaborated(text(0))
		if q == nil {
			return nil, errors.New("the script is not open, or was not read in time")
		}
		line := uint32(0)
		if len(p.Arguments) > 1 {
			n, _ := p.Arguments[1].(float64)
			line = uint32(max(n, 0))
		}
		points := ""
		for _, l := range q.Lenses() {
			if points == "" || s.position(q.Mapper, l.Start).Line <= line {
				points = l.Points
			}
		}
		return points, nil
	case commandContent:
		if got, ok := s.virtualText(nameOf(text(0))); ok {
			return got, nil
		}
		return nil, errors.New("there is no document " + text(0))
	}
	return nil, errors.New("there is no command " + p.Command)
}

// status is what a status line of an editor shows.
func (s *server) status(ctx context.Context) map[string]any {
	spec := s.envs.targetSpec()
	t := s.envs.target(spec)
	out := map[string]any{"spec": spec, "ready": false, "target": "", "notes": []string{}}
	select {
	case <-t.ready:
		out["ready"] = true
		if t.t != nil {
			out["target"] = t.t.Name()
			notes := []string{}
			for _, n := range t.t.Notes() {
				notes = append(notes, n.Text)
			}
			out["notes"] = notes
		}
	default:
	}
	return out
}

func (s *server) moreCapabilities(c *serverCapabilities) {
	c.SignatureHelpProvider = &protocol.SignatureHelpOptions{TriggerCharacters: []string{"(", ","}, RetriggerCharacters: []string{","}}
	c.RenameProvider = true
	if s.client.prepare {
		c.RenameProvider = protocol.RenameOptions{PrepareProvider: ptr(true)}
	}
	c.SemanticTokensProvider = protocol.SemanticTokensOptions{
		Legend: protocol.SemanticTokensLegend{TokenTypes: query.TokenTypes, TokenModifiers: query.TokenModifiers},
		Range:  true, Full: protocol.SemanticDelta{Delta: ptr(true)},
	}
	c.InlayHintProvider = true
	c.CodeActionProvider = protocol.CodeActionOptions{CodeActionKinds: actionKinds}
	c.ExecuteCommandProvider = &protocol.ExecuteCommandOptions{Commands: []string{commandTargets, commandChooseTarget, commandStatus, commandMatches, commandProbeAt, commandContent}}
}
