//go:build !unix

package lsp

// watchParent does nothing where a process cannot be asked for; the stream ends with
// the editor there.
func (s *server) watchParent(pid int) {}
