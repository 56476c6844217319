package cli

import (
	"fmt"
	"io"
)

// WriteCompletions writes the completion script of a shell for all commands.
func WriteCompletions(w io.Writer, shell string) error {
	_, err := fmt.Fprintln(w, shell)
	return err
}
