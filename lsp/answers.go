package lsp

import (
	"context"
	"time"

	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/query"
)

func (s *server) hover(ctx *glsp.Context, p *protocol.HoverParams) (*protocol.Hover, error) {
	c := s.of(ctx)
	q := c.snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	h, ok := soon(c, q.Env, func(ctx context.Context) *query.Hover {
		if q.ProgramBy(ctx) == nil {
			return nil
		}
		return q.Hover(s.offset(q.Mapper, p.Position))
	})
	if !ok && c.ctx.Err() == nil {
		return &protocol.Hover{Contents: s.markup("Debug information is being read; ask again in a moment.")}, nil
	}
	if h == nil || len(h.Sections) == 0 {
		return nil, c.ctx.Err()
	}
	content := s.markup(h.Markdown())
	if !s.client.markdown {
		content = protocol.MarkupContent{Kind: protocol.MarkupKindPlainText, Value: h.Plain()}
	}
	return &protocol.Hover{Contents: content, Range: ptr(s.rangeOf(q.Mapper, h.Start, h.End))}, nil
}

var itemKinds = map[query.ItemKind]protocol.CompletionItemKind{
	query.KeywordItem: protocol.CompletionItemKindKeyword, query.FunctionItem: protocol.CompletionItemKindFunction,
	query.VariableItem: protocol.CompletionItemKindVariable, query.GlobalItem: protocol.CompletionItemKindVariable,
	query.ParamItem: protocol.CompletionItemKindVariable, query.TargetItem: protocol.CompletionItemKindVariable,
	query.MemberItem: protocol.CompletionItemKindField, query.PointItem: protocol.CompletionItemKindModule,
	query.EventItem: protocol.CompletionItemKindEvent, query.KernelItem: protocol.CompletionItemKindReference,
	query.TypeItem: protocol.CompletionItemKindStruct, query.ConstantItem: protocol.CompletionItemKindConstant,
	query.MacroItem: protocol.CompletionItemKindConstant, query.FileItem: protocol.CompletionItemKindFile,
	query.FolderItem: protocol.CompletionItemKindFolder, query.DirectiveItem: protocol.CompletionItemKindValue,
	query.RuleItem: protocol.CompletionItemKindValue, query.SnippetItem: protocol.CompletionItemKindSnippet,
}

// waitForProgram bounds what completion waits for types of variables.
const waitForProgram = 20 * time.Millisecond

func (s *server) completion(ctx *glsp.Context, p *protocol.CompletionParams) (any, error) {
	c := s.of(ctx)
	q := c.snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	got, ok := soon(c, q.Env, func(ctx context.Context) *query.Completion {
		wait, cancel := context.WithTimeout(ctx, waitForProgram)
		defer cancel()
		return q.Complete(wait, s.offset(q.Mapper, p.Position))
	})
	if !ok { // the client asks again with the next key
		return protocol.CompletionList{IsIncomplete: true, Items: []protocol.CompletionItem{}}, c.ctx.Err()
	}
	r := s.rangeOf(q.Mapper, got.Start, got.End)
	list := protocol.CompletionList{IsIncomplete: got.Incomplete, Items: make([]protocol.CompletionItem, 0, len(got.Items))}
	digits := "0123456789abcdefghijklmnopqrstuvwxyz"
	for i := range got.Items {
		it := &got.Items[i]
		// Clients sort by this text: our order.
		sort := string([]byte{digits[i/36%36], digits[i%36]})
		out := protocol.CompletionItem{Label: it.Label, Kind: ptr(itemKinds[it.Kind]), SortText: &sort, FilterText: ptr(filterText(it))}
		if it.Detail != "" {
			out.Detail = &it.Detail
		}
		if it.Doc != "" {
			out.Documentation = s.markup(it.Doc)
		}
		text := it.Insert
		if it.Snippet {
			if s.client.snippets {
				out.InsertTextFormat = ptr(protocol.InsertTextFormatSnippet)
			} else {
				text = plainInsert(text)
			}
		}
		out.TextEdit = protocol.TextEdit{Range: r, NewText: text}
		if it.Data != "" {
			out.Data = itemData{p.TextDocument.URI, it.Data}
		}
		if it.Deprecated {
			out.Tags = []protocol.CompletionItemTag{protocol.CompletionItemTagDeprecated}
		}
		list.Items = append(list.Items, out)
	}
	return list, nil
}

type itemData struct {
	URI  string `json:"uri"`
	Data string `json:"data"`
}

func filterText(it *query.Item) string {
	if it.Filter != "" {
		return it.Filter
	}
	return it.Label
}

// plainInsert takes the tab stops out of a snippet, and all that follows the first
// one that has no text.
func plainInsert(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b = append(b, s[i])
		case s[i] == '$' && i+1 < len(s) && s[i+1] == '{':
			return trimOpen(string(b))
		case s[i] == '$' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			return trimOpen(string(b))
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func trimOpen(s string) string {
	for len(s) > 0 && (s[len(s)-1] == '\t' || s[len(s)-1] == '\n' || s[len(s)-1] == ' ' || s[len(s)-1] == '{') {
		s = s[:len(s)-1]
	}
	return s
}

func (s *server) completionResolve(ctx *glsp.Context, p *protocol.CompletionItem) (*protocol.CompletionItem, error) {
	c := s.of(ctx)
	m, ok := p.Data.(map[string]any)
	if !ok {
		return p, nil
	}
	uri, _ := m["uri"].(string)
	data, _ := m["data"].(string)
	q := c.snapshot(uri)
	if q == nil {
		return p, nil
	}
	detail, doc := q.Env.Resolve(data)
	if detail != "" {
		p.Detail = &detail
	}
	if doc != "" {
		p.Documentation = s.markup(doc)
	}
	return p, nil
}
