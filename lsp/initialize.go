package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/config"
	"stapkit/diag"
	"stapkit/tapsets"
)

// client is what the client can do.
type client struct {
	encoding      encoding
	markdown      bool // in hovers
	snippets      bool
	pull          bool // asks for diagnostics itself
	progress      bool
	configuration bool // answers workspace/configuration
	hierarchical  bool // document symbols
	links         bool // LocationLink
	watch         bool // takes a registration for watched files
	resources     bool // versioned document changes
	virtual       bool // opens stapkit: documents
	refreshDiags  bool
	refreshHints  bool
	refreshTokens bool
	refreshLens   bool
	prepare       bool
	lensCommands  bool // has the commands that code lenses run
}

func is(b *bool) bool { return b != nil && *b }

// register fills the tables of methods.
func (s *server) register() {
	s.table = &protocol.Handler{
		Initialize: s.initialize, Initialized: s.afterInitialize, Shutdown: s.onShutdown,
		SetTrace:            func(*glsp.Context, *protocol.SetTraceParams) error { return nil },
		TextDocumentDidOpen: s.didOpen, TextDocumentDidChange: s.didChange, TextDocumentDidClose: s.didClose, TextDocumentDidSave: s.didSave,
		WorkspaceDidChangeConfiguration: s.didChangeConfiguration, WorkspaceDidChangeWatchedFiles: s.didChangeWatchedFiles,
		WorkspaceDidChangeWorkspaceFolders: s.didChangeFolders,
		WindowWorkDoneProgressCancel:       func(*glsp.Context, *protocol.WorkDoneProgressCancelParams) error { return nil },
		TextDocumentHover:                  s.hover, TextDocumentCompletion: s.completion, CompletionItemResolve: s.completionResolve,
		TextDocumentFormatting: s.formatting, TextDocumentRangeFormatting: s.rangeFormatting, TextDocumentOnTypeFormatting: s.onTypeFormatting,
		TextDocumentDefinition: s.definition, TextDocumentDeclaration: s.declaration, TextDocumentTypeDefinition: s.typeDefinition,
		TextDocumentReferences: s.references, TextDocumentDocumentHighlight: s.highlight,
		TextDocumentRename: s.rename, TextDocumentPrepareRename: s.prepareRename,
		TextDocumentPrepareCallHierarchy: s.prepareCallHierarchy, CallHierarchyIncomingCalls: s.incomingCalls, CallHierarchyOutgoingCalls: s.outgoingCalls,
		TextDocumentDocumentSymbol: s.documentSymbol, WorkspaceSymbol: s.workspaceSymbol,
		TextDocumentFoldingRange: s.folding, TextDocumentSelectionRange: s.selection, TextDocumentSignatureHelp: s.signatureHelp,
		TextDocumentSemanticTokensFull: s.semanticTokens, TextDocumentSemanticTokensFullDelta: s.semanticTokensDelta, TextDocumentSemanticTokensRange: s.semanticTokensRange,
		TextDocumentCodeAction: s.codeAction, TextDocumentCodeLens: s.codeLens, TextDocumentDocumentLink: s.documentLink,
		WorkspaceExecuteCommand: s.executeCommand,
	}
	s.extra = map[string]func(*call, json.RawMessage) (any, error){
		methodDiagnostic: s.pullDiagnostics, methodWorkspaceDiagnostic: s.pullWorkspaceDiagnostics,
		methodTextDocumentContent: s.textDocumentContent, methodInlayHint: s.inlayHints,
		"$/setTrace": func(*call, json.RawMessage) (any, error) { return nil, nil },
	}
}

func (s *server) initialize(ctx *glsp.Context, p *protocol.InitializeParams) (any, error) {
	if s.initialized.Load() {
		return nil, errors.New("the server is initialized already")
	}
	var raw struct {
		Capabilities          clientExtras `json:"capabilities"`
		InitializationOptions struct {
			Settings         json.RawMessage `json:"settings"`
			VirtualDocuments bool            `json:"virtualDocuments"`
			LensCommands     bool            `json:"lensCommands"`
		} `json:"initializationOptions"`
	}
	if err := json.Unmarshal(ctx.Params, &raw); err != nil {
		s.logf("initialize: %v", err) // options that are not ours
	}
	c := &s.client
	for _, e := range raw.Capabilities.General.PositionEncodings {
		if e == "utf-8" { // what we count in ourselves
			c.encoding = utf8
		} else if e == "utf-32" && c.encoding == utf16 {
			c.encoding = utf32
		}
	}
	c.virtual, c.lensCommands = raw.InitializationOptions.VirtualDocuments, raw.InitializationOptions.LensCommands
	c.pull = raw.Capabilities.TextDocument.Diagnostic != nil
	if d := raw.Capabilities.Workspace.Diagnostics; d != nil {
		c.refreshDiags = d.RefreshSupport
	}
	if h := raw.Capabilities.Workspace.InlayHint; h != nil {
		c.refreshHints = h.RefreshSupport
	}
	if t := p.Capabilities.TextDocument; t != nil {
		if t.Completion != nil && t.Completion.CompletionItem != nil {
			c.snippets = is(t.Completion.CompletionItem.SnippetSupport)
		}
		c.markdown = t.Hover == nil || len(t.Hover.ContentFormat) == 0
		if t.Hover != nil {
			for _, f := range t.Hover.ContentFormat {
				c.markdown = c.markdown || f == protocol.MarkupKindMarkdown
			}
		}
		if t.DocumentSymbol != nil {
			c.hierarchical = is(t.DocumentSymbol.HierarchicalDocumentSymbolSupport)
		}
		if t.Definition != nil {
			c.links = is(t.Definition.LinkSupport)
		}
		if t.Rename != nil {
			c.prepare = is(t.Rename.PrepareSupport)
		}
	} else {
		c.markdown = true
	}
	if w := p.Capabilities.Window; w != nil {
		c.progress = is(w.WorkDoneProgress)
	}
	if w := p.Capabilities.Workspace; w != nil {
		c.configuration = is(w.Configuration)
		if w.DidChangeWatchedFiles != nil {
			c.watch = is(w.DidChangeWatchedFiles.DynamicRegistration)
		}
		if w.WorkspaceEdit != nil {
			c.resources = is(w.WorkspaceEdit.DocumentChanges)
		}
		if w.SemanticTokens != nil {
			c.refreshTokens = is(w.SemanticTokens.RefreshSupport)
		}
		if w.CodeLens != nil {
			c.refreshLens = is(w.CodeLens.RefreshSupport)
		}
	}
	for _, f := range p.WorkspaceFolders {
		s.envs.folders = append(s.envs.folders, nameOf(f.URI))
	}
	if len(s.envs.folders) == 0 && p.RootURI != nil {
		s.envs.folders = []string{nameOf(*p.RootURI)}
	}
	if len(raw.InitializationOptions.Settings) > 0 {
		if _, err := s.envs.set(raw.InitializationOptions.Settings); err != nil {
			return nil, err
		}
	}
	if p.ProcessID != nil {
		s.watchParent(int(*p.ProcessID))
	}
	s.initialized.Store(true)
	s.envs.target(s.envs.targetSpec()) // begin reading
	return initializeResult{
		Capabilities: s.capabilities(),
		ServerInfo:   &protocol.InitializeResultServerInfo{Name: "staplsp", Version: &s.opt.Version},
	}, nil
}

func (s *server) capabilities() serverCapabilities {
	c := serverCapabilities{ServerCapabilities: s.table.CreateServerCapabilities(), PositionEncoding: s.client.encoding.String()}
	c.TextDocumentSync = &protocol.TextDocumentSyncOptions{
		OpenClose: ptr(true), Change: ptr(protocol.TextDocumentSyncKindIncremental), Save: &protocol.SaveOptions{IncludeText: ptr(false)},
	}
	c.CompletionProvider = &protocol.CompletionOptions{TriggerCharacters: []string{".", "$", "@", ">", "\"", "/", "%", ":"}, ResolveProvider: ptr(true)}
	c.DocumentOnTypeFormattingProvider = &protocol.DocumentOnTypeFormattingOptions{FirstTriggerCharacter: "}", MoreTriggerCharacter: []string{";", "\n"}}
	c.DiagnosticProvider = &diagnosticOptions{Identifier: "stapkit", InterFileDependencies: true, WorkspaceDiagnostics: true}
	c.Workspace = &protocol.ServerCapabilitiesWorkspace{WorkspaceFolders: &protocol.WorkspaceFoldersServerCapabilities{
		Supported: ptr(true), ChangeNotifications: &protocol.BoolOrString{Value: true}}}
	s.moreCapabilities(&c)
	return c
}

// afterInitialize asks for what a server may ask for only now.
func (s *server) afterInitialize(ctx *glsp.Context, p *protocol.InitializedParams) error {
	s.spawn("after initialize", func(ctx context.Context) {
		if s.client.watch {
			params := protocol.RegistrationParams{Registrations: []protocol.Registration{{
				ID: "watch", Method: protocol.MethodWorkspaceDidChangeWatchedFiles,
				RegisterOptions: protocol.DidChangeWatchedFilesRegistrationOptions{Watchers: []protocol.FileSystemWatcher{
					{GlobPattern: "**/*.{stp,stpm}"}, {GlobPattern: "**/" + config.ProjectFile},
				}},
			}}}
			if err := s.conn.Call(ctx, protocol.ServerClientRegisterCapability, params, nil); err != nil {
				s.logf("watch files: %v", err)
			}
		}
		s.readConfiguration(ctx)
		s.envs.checkProjects()
	})
	return nil
}

// readConfiguration asks the client for our settings.
func (s *server) readConfiguration(ctx context.Context) {
	if !s.client.configuration {
		return
	}
	var got []json.RawMessage
	params := protocol.ConfigurationParams{Items: []protocol.ConfigurationItem{{Section: ptr("stapkit")}}}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.conn.Call(ctx, protocol.ServerWorkspaceConfiguration, params, &got); err != nil {
		s.logf("settings: %v", err)
		return
	}
	if len(got) == 1 && string(got[0]) != "null" {
		s.take(got[0])
	}
}

func (s *server) take(raw json.RawMessage) {
	changed, err := s.envs.set(raw)
	if err != nil {
		s.showMessage(protocol.MessageTypeError, err.Error())
		return
	}
	if changed {
		s.envs.forget()
		s.refresh()
	}
}

func (s *server) didChangeConfiguration(ctx *glsp.Context, p *protocol.DidChangeConfigurationParams) error {
	if s.client.configuration {
		s.spawn("settings", s.readConfiguration)
		return nil
	}
	var raw struct {
		Settings struct {
			Stapkit json.RawMessage `json:"stapkit"`
		} `json:"settings"`
	}
	if err := json.Unmarshal(ctx.Params, &raw); err != nil {
		return err
	}
	if len(raw.Settings.Stapkit) > 0 {
		s.take(raw.Settings.Stapkit)
	}
	return nil
}

func (s *server) didChangeWatchedFiles(ctx *glsp.Context, p *protocol.DidChangeWatchedFilesParams) error {
	c := s.of(ctx)
	for _, ch := range p.Changes {
		name := nameOf(ch.URI)
		if c.view.docs[ch.URI] == nil || filepath.Base(name) == config.ProjectFile {
			s.envs.fileChanged(name)
		}
	}
	return nil
}

func (s *server) didChangeFolders(ctx *glsp.Context, p *protocol.DidChangeWorkspaceFoldersParams) error {
	e := &s.envs
	e.mu.Lock()
	for _, f := range p.Event.Removed {
		name := nameOf(f.URI)
		for i, have := range e.folders {
			if have == name {
				e.folders = append(e.folders[:i:i], e.folders[i+1:]...)
				break
			}
		}
	}
	for _, f := range p.Event.Added {
		e.folders = append(e.folders, nameOf(f.URI))
	}
	e.mu.Unlock()
	e.forget()
	s.refresh()
	return nil
}

func (s *server) onShutdown(ctx *glsp.Context) error {
	s.shutdown.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.pending {
		t.Stop()
	}
	for id, cancel := range s.cancels {
		_ = id
		cancel()
	}
	return nil
}

// refresh has the client ask again for all that hangs on the environment, and
// publishes diagnostics.
func (s *server) refresh() {
	if !s.initialized.Load() || s.shutdown.Load() {
		return
	}
	s.mu.Lock()
	v := s.view
	s.mu.Unlock()
	for _, d := range v.docs {
		s.changed(d)
	}
	s.spawn("refresh", func(ctx context.Context) {
		for _, r := range []struct {
			on     bool
			method string
		}{
			{s.client.pull && s.client.refreshDiags, methodDiagnosticRefresh},
			{s.client.refreshHints, methodInlayHintRefresh},
			{s.client.refreshTokens, protocol.MethodWorkspaceSemanticTokensRefresh},
			{s.client.refreshLens, methodCodeLensRefresh},
		} {
			if !r.on {
				continue
			}
			if err := s.conn.Call(ctx, r.method, nil, nil); err != nil {
				s.logf("%s: %v", r.method, err)
			}
		}
	})
}

// errorPages is where the pages of diagnostic codes are among the virtual documents.
const errorPages = "errors/"

// typePages is where C types are.
const typePages = "types/"

// virtualText gives a document that is in no file.
func (s *server) virtualText(name string) (string, bool) {
	if strings.HasPrefix(name, typePages) {
		s.mu.Lock()
		defer s.mu.Unlock()
		text, ok := s.types[name]
		return text, ok
	}
	return virtualText(name)
}

// virtualText gives a document of the embedded library, or the page of a diagnostic
// code.
func virtualText(name string) (string, bool) {
	if code, ok := strings.CutPrefix(name, errorPages); ok {
		info, ok := diag.Lookup(diag.Code(strings.TrimSuffix(code, ".md")))
		if !ok {
			return "", false
		}
		return "# " + string(info.Code) + ": " + info.Title + "\n\n" + strings.TrimSpace(info.Doc) + "\n", true
	}
	text, ok := tapsets.Read(name)
	return string(text), ok
}

// textDocumentContent gives a virtual document.
func (s *server) textDocumentContent(c *call, params json.RawMessage) (any, error) {
	var p contentParams
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, err
	}
	text, ok := s.virtualText(nameOf(p.URI))
	if !ok {
		return nil, errors.New("there is no document " + p.URI)
	}
	return contentResult{Text: text}, nil
}

// virtualURI is where a virtual document can be opened: under a scheme of our own
// where the client asks us for the text, else as a file in the cache.
func (s *server) virtualURI(name string) string {
	if s.client.virtual {
		return libraryScheme + ":///" + name
	}
	s.mu.Lock()
	uri, ok := s.written[name]
	s.mu.Unlock()
	if ok {
		return uri
	}
	uri = libraryScheme + ":///" + name
	if path, err := s.writeVirtual(name); err == nil {
		uri = uriOf(path)
	} else {
		s.logf("virtual document %s: %v", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written == nil {
		s.written = map[string]string{}
	}
	s.written[name] = uri
	return uri
}

// writeVirtual puts a virtual document into the cache.
func (s *server) writeVirtual(name string) (string, error) {
	text, ok := s.virtualText(name)
	if !ok {
		return "", os.ErrNotExist
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "stapkit", "documents-"+s.opt.Version, filepath.FromSlash(name))
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o444), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return path, err
}
