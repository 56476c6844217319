package lsp

import (
	"encoding/json"

	protocol "github.com/tliron/glsp/protocol_3_16"
)

// What version 3.17 of the protocol added and we use.

const (
	methodInlayHint            = "textDocument/inlayHint"
	methodDiagnostic           = "textDocument/diagnostic"
	methodWorkspaceDiagnostic  = "workspace/diagnostic"
	methodDiagnosticRefresh    = "workspace/diagnostic/refresh"
	methodInlayHintRefresh     = "workspace/inlayHint/refresh"
	methodCodeLensRefresh      = "workspace/codeLens/refresh"
	methodTextDocumentContent  = "workspace/textDocumentContent"
	methodPrepareTypeHierarchy = "textDocument/prepareTypeHierarchy"
)

// clientExtras are the capabilities of 3.17 clients that glsp does not know.
type clientExtras struct {
	General struct {
		PositionEncodings []string `json:"positionEncodings"`
	} `json:"general"`
	TextDocument struct {
		Diagnostic *json.RawMessage `json:"diagnostic"`
		InlayHint  *json.RawMessage `json:"inlayHint"`
	} `json:"textDocument"`
	Workspace struct {
		Diagnostics *struct {
			RefreshSupport bool `json:"refreshSupport"`
		} `json:"diagnostics"`
		InlayHint *struct {
			RefreshSupport bool `json:"refreshSupport"`
		} `json:"inlayHint"`
	} `json:"workspace"`
}

// serverCapabilities are those of 3.16 and ours of 3.17.
type serverCapabilities struct {
	protocol.ServerCapabilities
	PositionEncoding   string             `json:"positionEncoding,omitempty"`
	InlayHintProvider  bool               `json:"inlayHintProvider,omitempty"`
	DiagnosticProvider *diagnosticOptions `json:"diagnosticProvider,omitempty"`
}

type diagnosticOptions struct {
	Identifier            string `json:"identifier"`
	InterFileDependencies bool   `json:"interFileDependencies"`
	WorkspaceDiagnostics  bool   `json:"workspaceDiagnostics"`
}

type initializeResult struct {
	Capabilities serverCapabilities                   `json:"capabilities"`
	ServerInfo   *protocol.InitializeResultServerInfo `json:"serverInfo,omitempty"`
}

type documentDiagnosticParams struct {
	TextDocument     protocol.TextDocumentIdentifier `json:"textDocument"`
	PreviousResultID string                          `json:"previousResultId"`
}

// diagnosticReport is a full report, or with Kind "unchanged" none.
type diagnosticReport struct {
	Kind     string                 `json:"kind"`
	ResultID string                 `json:"resultId,omitempty"`
	Items    *[]protocol.Diagnostic `json:"items,omitempty"`
}

type workspaceDiagnosticParams struct {
	PreviousResultIDs []struct {
		URI   string `json:"uri"`
		Value string `json:"value"`
	} `json:"previousResultIds"`
}

type workspaceDiagnosticReport struct {
	Items []workspaceDocumentReport `json:"items"`
}

type workspaceDocumentReport struct {
	diagnosticReport
	URI     string `json:"uri"`
	Version *int32 `json:"version"`
}

type inlayHintParams struct {
	TextDocument protocol.TextDocumentIdentifier `json:"textDocument"`
	Range        protocol.Range                  `json:"range"`
}

type inlayHint struct {
	Position     protocol.Position       `json:"position"`
	Label        string                  `json:"label"`
	Kind         int                     `json:"kind,omitempty"` // 1 type, 2 parameter
	Tooltip      *protocol.MarkupContent `json:"tooltip,omitempty"`
	PaddingLeft  bool                    `json:"paddingLeft,omitempty"`
	PaddingRight bool                    `json:"paddingRight,omitempty"`
}

// completionList is protocol.CompletionList with the items' common parts said once.
type contentParams struct {
	URI string `json:"uri"`
}

type contentResult struct {
	Text string `json:"text"`
}
