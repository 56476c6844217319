// Package lsp serves the Language Server Protocol: it turns messages into questions
// to package query, lint and stapfmt, and their answers into messages. It knows no
// language.
//
// Types and the table of methods are those of glsp (LSP 3.16), with what 3.17 added
// in types.go; the loop is our own, on jsonrpc2: notifications are handled in order,
// each request runs by itself on the documents as they were when it arrived, can be
// cancelled, and a panic in one ends nothing else.
package lsp
