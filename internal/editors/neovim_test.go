// Package editors drives real editors against the language server.
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

// server builds staplsp.
func server(t testing.TB) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "staplsp")
	if out, err := exec.Command("go", "build", "-o", bin, "stapkit/cmd/staplsp").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// TestNeovim has Neovim without a screen use every feature once, with nothing but the
// plugin loaded.
func TestNeovim(t *testing.T) {
	nvim, err := exec.LookPath("nvim")
	if err != nil {
		t.Skip("no nvim: apt-get install neovim")
	}
	plugin, err := filepath.Abs("../../editors/neovim")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kernel := filepath.Join(dir, "vmlinux")
	if err := minikernel.Write(kernel); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "staplsp.log")
	work := filepath.Join(dir, "work")
	for _, d := range []string{work, filepath.Join(dir, "home")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, nvim, "--headless", "--clean",
		"--cmd", "set runtimepath^="+plugin, "--cmd", "set noswapfile", "--cmd", "filetype plugin indent on",
		"-c", "runtime! plugin/stapkit.lua", "-c", "luafile "+filepath.Join(plugin, "test", "features.lua"))
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "STAPLSP="+server(t), "STAPLSP_LOG="+log, "VMLINUX="+kernel, "PLUGIN="+plugin,
		"HOME="+filepath.Join(dir, "home"), "XDG_STATE_HOME="+dir, "XDG_CACHE_HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	out, err := cmd.CombinedOutput()
	for _, line := range strings.Split(string(out), "\n") {
		if strings.TrimSpace(line) != "" {
			t.Log(line)
		}
	}
	if err == nil && !strings.Contains(string(out), "all features work") {
		t.Error("the test did not come to its end")
	}
	if err != nil {
		t.Error(err)
		// The server's own log, and Neovim's, which has what the server said at its end.
		logs := []string{log}
		if more, gerr := filepath.Glob(filepath.Join(dir, "nvim", "*.log")); gerr == nil {
			logs = append(logs, more...)
		}
		for _, name := range logs {
			if b, rerr := os.ReadFile(name); rerr == nil {
				t.Logf("%s: …%s", filepath.Base(name), b[max(0, len(b)-6000):])
			}
		}
	}
}

// TestProtocol has the protocol's own client library talk to the server: life cycle,
// encodings, cancellation, random edits held against documents that are sent whole.
func TestProtocol(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node")
	}
	if _, err := os.Stat("protocol/node_modules"); err != nil {
		t.Skip("the client library is not installed: make test-editors")
	}
	kernel := filepath.Join(t.TempDir(), "vmlinux")
	if err := minikernel.Write(kernel); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	edits := "1000"
	if n := os.Getenv("EDITS"); n != "" {
		edits = n
	}
	out, err := exec.CommandContext(ctx, node, "protocol/session.mjs", server(t), kernel, edits).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
