package lsp

import (
	"slices"
	"strconv"
	"sync"

	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/query"
)

// tokenCache keeps the colours that were sent last, for answers that tell changes only.
type tokenCache struct {
	mu   sync.Mutex
	next int
	sent map[string]sentTokens // by URI
}

type sentTokens struct {
	id   string
	data []uint32
}

func (t *tokenCache) forget(uri string) {
	t.mu.Lock()
	delete(t.sent, uri)
	t.mu.Unlock()
}

func (t *tokenCache) keep(uri string, data []uint32) (id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	id = strconv.Itoa(t.next)
	if t.sent == nil {
		t.sent = map[string]sentTokens{}
	}
	t.sent[uri] = sentTokens{id, data}
	return id
}

func (t *tokenCache) get(uri, id string) ([]uint32, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.sent[uri]
	return s.data, ok && s.id == id
}

// tokenData encodes tokens as the protocol does: relative to each other.
func (s *server) tokenData(q *query.Snapshot, from, to int) []uint32 {
	list := q.Tokens(from, to)
	data := make([]uint32, 0, 5*len(list))
	var line, col uint32
	for _, t := range list {
		a, b := s.position(q.Mapper, t.Start), s.position(q.Mapper, t.End)
		if a.Line != b.Line || b.Character <= a.Character {
			continue
		}
		d := a.Character
		if a.Line == line {
			d -= col
		}
		data = append(data, a.Line-line, d, b.Character-a.Character, uint32(t.Type), t.Mods)
		line, col = a.Line, a.Character
	}
	return data
}

func (s *server) semanticTokens(ctx *glsp.Context, p *protocol.SemanticTokensParams) (*protocol.SemanticTokens, error) {
	q := s.of(ctx).snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	data := s.tokenData(q, 0, len(q.Text))
	id := s.tokens.keep(p.TextDocument.URI, data)
	return &protocol.SemanticTokens{ResultID: &id, Data: data}, nil
}

func (s *server) semanticTokensDelta(ctx *glsp.Context, p *protocol.SemanticTokensDeltaParams) (any, error) {
	q := s.of(ctx).snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	data := s.tokenData(q, 0, len(q.Text))
	old, ok := s.tokens.get(p.TextDocument.URI, p.PreviousResultID)
	id := s.tokens.keep(p.TextDocument.URI, data)
	if !ok {
		return protocol.SemanticTokens{ResultID: &id, Data: data}, nil
	}
	return protocol.SemanticTokensDelta{ResultId: &id, Edits: tokenEdits(old, data)}, nil
}

// tokenEdits is the one edit between what both begin and end with, none if they are
// the same.
func tokenEdits(old, data []uint32) []protocol.SemanticTokensEdit {
	if slices.Equal(old, data) {
		return []protocol.SemanticTokensEdit{}
	}
	head := 0
	for head < len(old) && head < len(data) && old[head] == data[head] {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(data)-head && old[len(old)-1-tail] == data[len(data)-1-tail] {
		tail++
	}
	return []protocol.SemanticTokensEdit{{Start: uint32(head), DeleteCount: uint32(len(old) - head - tail), Data: data[head : len(data)-tail]}}
}

func (s *server) semanticTokensRange(ctx *glsp.Context, p *protocol.SemanticTokensRangeParams) (any, error) {
	q := s.of(ctx).snapshot(p.TextDocument.URI)
	if q == nil {
		return nil, nil
	}
	from, to := s.span(q.Mapper, p.Range)
	return protocol.SemanticTokens{Data: s.tokenData(q, from, to)}, nil
}
