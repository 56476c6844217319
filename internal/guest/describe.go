//go:build linux

package guest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stapkit/target"
)

// Describe gives a file that describes a kernel with these modules loaded, for the
// compiler. The guest that writes it is booted once; the file is kept beside the
// kernel for as long as it can be read.
func Describe(ctx context.Context, k *Kernel, modules []string) (string, error) {
	dir, err := cache("described")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(k.Release + " " + strings.Join(modules, " ")))
	path := filepath.Join(dir, k.Name+"-"+hex.EncodeToString(sum[:6])+".desc")
	if t, err := target.Open(path); err == nil {
		return path, t.Close()
	}
	staprun, err := k.Build(ctx, "stapkit/cmd/staprun")
	if err != nil {
		return "", err
	}
	g, err := Boot(ctx, k, Options{Modules: modules, Files: []File{{Path: "/bin/staprun", Mode: 0o755, Data: staprun}}})
	if err != nil {
		return "", err
	}
	data, err := g.Describe(ctx)
	if err2 := g.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(dir, "new")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err2 := tmp.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return "", err
	}
	return path, os.Rename(tmp.Name(), path)
}

// Describe has a guest that has /bin/staprun write its description.
func (g *Guest) Describe(ctx context.Context) ([]byte, error) {
	const there = "/tmp/described"
	r, err := g.Run(ctx, Command{Args: []string{"/bin/staprun", "--describe", there}, Timeout: 15 * time.Minute})
	if err != nil {
		return nil, err
	}
	if r.Code != 0 {
		return nil, &FailedError{What: "staprun --describe", Result: r}
	}
	return g.ReadFile(ctx, there)
}

// FailedError says that a command in a guest failed.
type FailedError struct {
	What   string
	Result Result
}

func (e *FailedError) Error() string {
	if e.Result.TimedOut {
		return e.What + ": took too long"
	}
	return e.What + ": " + strings.TrimSpace(e.Result.Stdout+e.Result.Stderr)
}
