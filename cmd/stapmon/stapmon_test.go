//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/proto"

	"stapkit/bundle"
	"stapkit/bundle/trust"
	"stapkit/driver"
	tty "stapkit/internal/terminal"
)

// stapVar makes the test binary behave as stap, monVar as stapmon.
const (
	stapVar = "STAPMON_TEST_STAP"
	monVar  = "STAPMON_TEST_MON"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(stapVar) != "":
		os.Exit(driver.Stap(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	case os.Getenv(monVar) != "":
		os.Exit(stapmon(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// script counts by timers alone, so that it runs everywhere, and prints what is asked of
// it by the library's macros.
const script = `global calls, names, sizes, byname, word = "x\"y"
probe timer.ms(20) {
	calls++; names["a;b"] = 7; names["c"] += 2
	sizes <<< 3; sizes <<< 300; byname["r"] <<< calls
}
probe prometheus { @prometheus_dump_array1(names, "hits", "name") }
probe procfs("plain").read { $value = sprintf("calls %d\n", calls > 0) }
probe end { print(@hist_log(sizes)); printf("%d %d\n", @max(byname["r"]) > 0, strlen(word)) }`

// run starts the script with a socket, and returns the socket.
func run(t *testing.T, text string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The path of a socket must be short.
	dir, err := os.MkdirTemp("", "stapmon")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(exe, "--socket", socket, "-m", "watched", "-e", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), stapVar+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, out.String())
		}
		if _, err := os.Stat(socket); err == nil {
			t.Error("the socket is still there")
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if r := mon1(t, "snapshot", socket); r.status == 0 && strings.Contains(r.out, `"r"`) {
			return socket
		}
		if time.Now().After(end) {
			t.Fatalf("the script does not answer: %s", out.String())
		}
	}
}

type result struct {
	status      int
	out, errOut string
}

func mon1(t *testing.T, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	st := stapmon(t.Context(), args, strings.NewReader(""), &out, &errOut)
	return result{st, out.String(), errOut.String()}
}

// TestMetrics has Prometheus's own parser read what is served, and what a script says
// by its macros.
func TestMetrics(t *testing.T) {
	socket := run(t, script)
	parse := func(text string) map[string]*dto.MetricFamily {
		t.Helper()
		p := expfmt.NewTextParser(model.UTF8Validation)
		families, err := p.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return families
	}
	r := mon1(t, "metrics", "--once", socket)
	if r.status != 0 || r.errOut != "" {
		t.Fatalf("%+v", r)
	}
	f := parse(r.out)
	for _, name := range []string{"stapkit_up", "stapkit_probe_hits_total", "stapkit_skipped_total", "stapkit_global_calls", "stapkit_global_names", "stapkit_global_sizes", "stapkit_global_byname_max", "hits"} {
		if f[name] == nil {
			t.Errorf("no %s in\n%s", name, r.out)
		}
	}
	if t.Failed() {
		return
	}
	if m := f["stapkit_global_names"].Metric; len(m) != 2 || !strings.Contains(fmt.Sprint(m), `a;b`) {
		t.Errorf("%v", m)
	}
	if h := f["stapkit_global_sizes"].Metric[0].Histogram; h == nil || h.GetSampleCount() < 2 || len(h.Bucket) < 2 || h.Bucket[0].GetUpperBound() != 3 {
		t.Errorf("%v", f["stapkit_global_sizes"])
	}
	if v := f["stapkit_up"].Metric[0].GetGauge().GetValue(); v != 1 {
		t.Errorf("up %v", v)
	}
	if v := f["hits"].Metric[0]; v.Label[0].GetName() != "name" {
		t.Errorf("the script's own: %v", v)
	}
	// The files of procfs probes, without their file system.
	if r := mon1(t, "read", "plain", socket); r.out != "calls 1\n" {
		t.Errorf("%+v", r)
	}
	if r := mon1(t, "read", "nothing", socket); r.status != 1 || !strings.Contains(r.errOut, `no probe procfs("nothing").read`) {
		t.Errorf("%+v", r)
	}
	// Served.
	ctx, stop := context.WithCancel(t.Context())
	pr, pw := io.Pipe()
	done := make(chan int)
	go func() {
		done <- stapmon(ctx, []string{"metrics", "--listen", "127.0.0.1:0", socket}, strings.NewReader(""), io.Discard, pw)
	}()
	buf := make([]byte, 200)
	n, err := pr.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, pr) }()
	url := strings.TrimSpace(strings.TrimPrefix(string(buf[:n]), "stapmon: "))
	for path, want := range map[string]string{url: "stapkit_probe_hits_total", strings.Replace(url, "/metrics", "/script", 1): `hits{name="c"}`} {
		resp, err := http.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if cerr := resp.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if !strings.Contains(string(body), want) {
			t.Errorf("%s: no %s in\n%s", path, want, body)
		}
		parse(string(body))
	}
	stop()
	if st := <-done; st != 0 {
		t.Errorf("status %d", st)
	}
}

// TestSend pushes to a collector that decodes OpenTelemetry's own messages.
func TestSend(t *testing.T) {
	socket := run(t, script)
	var mu sync.Mutex
	seen := map[string]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		b, err := io.ReadAll(body)
		var req colpb.ExportMetricsServiceRequest
		if err == nil {
			err = proto.Unmarshal(b, &req)
		}
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rm := range req.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					seen[m.Name] = m.String()
				}
			}
		}
	}))
	defer srv.Close()
	if r := mon1(t, "send", "--endpoint", srv.URL+"/v1/metrics", "--interval", "0", socket); r.status != 0 || r.errOut != "" {
		t.Fatalf("%+v", r)
	}
	for name, want := range map[string]string{
		"stapkit.up": "gauge", "stapkit.probe.hits": "sum", "stapkit.global.names": "a;b", "stapkit.global.sizes": "histogram", "stapkit.global.word.info": `x\"y`,
	} {
		if !strings.Contains(seen[name], want) {
			t.Errorf("%s: no %s in %q", name, want, seen[name])
		}
	}
	if r := mon1(t, "send"); r.status != exitUsage {
		t.Errorf("%+v", r)
	}
}

// TestJSONMacros reads what a script writes with the library's @json_ macros: what its
// metrics are, and their values.
func TestJSONMacros(t *testing.T) {
	socket := run(t, `global n, byname
probe begin {
	json_set_prefix("things")
	json_add_numeric_metric("n", "how many", "")
	json_add_array("by", "by name")
	json_add_array_numeric_metric("by", "size", "how large", "bytes")
	byname["r"] = 1
}
probe timer.ms(20) { n++ }
probe json_data {
	@json_output_data_start
	@json_output_numeric_value("n", n)
	@json_output_array_numeric_value("by", "a\"b", "size", 7)
	@json_output_data_end
}`)
	var got struct {
		N  int
		By []struct {
			ID   string `json:"__id"`
			Size int
		}
	}
	r := mon1(t, "read", "data", socket)
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || len(got.By) != 1 || got.By[0].ID != `a"b` || got.By[0].Size != 7 {
		t.Errorf("%v: %+v", err, r)
	}
	if r := mon1(t, "read", "metadata", socket); !json.Valid([]byte(r.out)) || !strings.Contains(r.out, "how large") {
		t.Errorf("%+v", r)
	}
}

// picturesEnv names a folder for pictures of the terminal, which make pictures puts into
// the manual.
const picturesEnv = "STAPKIT_PICTURES"

// keep keeps the picture that there is now.
func keep(t *testing.T, m *tty.Terminal, name string) {
	t.Helper()
	t.Logf("\n%s", m.Picture)
	if dir := os.Getenv(picturesEnv); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".svg"), tty.SVG(m.Tmux("capture-pane", "-e", "-p"), 110), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTop looks at the picture that tmux has of the monitor, sorts, filters and resets.
func TestTop(t *testing.T) {
	socket := run(t, script)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := tty.Open(t, 110, 24, "env", monVar+"=1", exe, "top", "--interval", "0.2", socket)
	m.See("probes", tty.Has("watched", "hits▼", "timer.ms(20)", "Probes"))
	t.Logf("\n%s", m.Picture)
	m.Keys("Tab")
	m.See("globals", tty.Has("value▼", "calls", "a;b", "sizes", "█", `x"y`))
	keep(t, m, "top")
	m.Keys("s", "s")
	m.See("sorted by name", func(p string) bool {
		return tty.Has("global▼")(p) && strings.Index(p, "byname") < strings.Index(p, "names") && strings.Index(p, "names") < strings.Index(p, "word")
	})
	m.Keys("/", "c", "a", "l", "l", "Enter")
	m.See("the filter", func(p string) bool { return tty.Has("calls", "filter call")(p) && !strings.Contains(p, "sizes") })
	value := func() int {
		for _, l := range strings.Split(m.Tmux("capture-pane", "-p"), "\n") {
			if f := strings.Fields(l); len(f) > 2 && f[2] == "calls" {
				if n, err := strconv.Atoi(f[0]); err == nil {
					return n
				}
			}
		}
		return -1
	}
	for end := time.Now().Add(30 * time.Second); value() < 20; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the count does not grow")
		}
	}
	m.Keys("r")
	before := value()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if n := value(); n >= 0 && n < before {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the reset is not seen")
		}
	}
	m.Keys("Escape")
	m.See("all again", tty.Has("sizes", "names"))
	m.Keys("q")
	m.Ended()
}

// TestMonitor has stap start the monitor for a script of its own: the picture, what the
// script prints, its end, and that nothing is left behind.
func TestMonitor(t *testing.T) {
	bin, tmp := t.TempDir(), t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "stapkit/cmd/stap", "stapkit/cmd/stapmon")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	status := filepath.Join(tmp, "status")
	m := tty.Open(t, 110, 24, "env", "PATH="+bin+":"+os.Getenv("PATH"), "TMPDIR="+tmp, "sh", "-c", `stap --monitor=0.2 -e "$1"; echo $? >"$2"`, "sh",
		`global n probe timer.ms(20) { if (n++ % 10 == 0) println("printed ", n) } probe end { println("the end") }`, status)
	m.See("probes", tty.Has("hits▼", "timer.ms(20)", "Probes"))
	m.Keys("Tab")
	m.Keys("Tab")
	m.See("what the script prints", tty.Has("printed 31"))
	keep(t, m, "monitor")
	m.Keys("q")
	m.Ended()
	if b, err := os.ReadFile(status); err != nil || string(b) != "0\n" {
		t.Errorf("status %q, %v", b, err)
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "stapmon*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestRegistry pushes a signed bundle to a registry, pulls it, and verifies it.
func TestRegistry(t *testing.T) {
	srv := httptest.NewServer(registry.New())
	defer srv.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "disk.o")
	var text bytes.Buffer
	if st := driver.Stapc([]string{"-o", file, "-e", `probe begin { println("hi") exit() }`}, strings.NewReader(""), &text, &text); st != 0 {
		t.Fatal(text.String())
	}
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err == nil {
		data, err = bundle.Sign(data, key)
	}
	if err == nil {
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	ref := strings.TrimPrefix(srv.URL, "http://") + "/ops/disk"
	r := mon1(t, "push", "--plain-http", file, ref+":v1")
	if r.status != 0 || !strings.HasPrefix(r.out, "sha256:") {
		t.Fatalf("%+v", r)
	}
	digest := strings.TrimSpace(r.out)
	if again := mon1(t, "push", "--plain-http", file, ref+":v2"); again.out != r.out {
		t.Errorf("the same bundle has another digest: %+v", again)
	}
	// Nobody is trusted on this host: nothing is kept.
	out := filepath.Join(dir, "pulled.o")
	if r := mon1(t, "pull", "--plain-http", "-o", out, ref+":v1"); r.status != trust.Untrusted.ExitCode() || !strings.Contains(r.errOut, digest) {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("an untrusted bundle is kept")
	}
	for _, at := range []string{":v2", "@" + digest} {
		if r := mon1(t, "pull", "--plain-http", "--unverified", "-o", out, ref+at); r.status != 0 || r.out != out+" "+digest+"\n" {
			t.Errorf("%s: %+v", at, r)
		}
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: another bundle came back (%v)", at, err)
		}
	}
	// What came back is verified against the signer, without the registry.
	signers := `ops@example.org namespaces="stapkit-bundle" ` + string(ssh.MarshalAuthorizedKey(key.PublicKey()))
	allowed := filepath.Join(dir, "allowed_signers")
	if err := os.WriteFile(allowed, []byte(signers), 0o644); err != nil {
		t.Fatal(err)
	}
	if keygen, err := exec.LookPath("ssh-keygen"); err == nil {
		b, err := bundle.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := b.Signatures[0].Armor()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(out+".sig", sig, 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(keygen, "-Y", "verify", "-f", allowed, "-I", "ops@example.org", "-n", "stapkit-bundle", "-s", out+".sig")
		cmd.Stdin = bytes.NewReader(b.Message)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
	for _, args := range [][]string{{"pull", ref + ":none"}, {"push", allowed, ref + ":x"}, {"push", file, ref + "@" + digest}} {
		if r := mon1(t, append(args, "--plain-http")...); r.status == 0 {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// TestSnapshot: what is printed is JSON, with numbers as they are.
func TestSnapshot(t *testing.T) {
	socket := run(t, `global big = 9007199254740993, byname
		probe timer.ms(20) { byname["r"]++ }
		probe end { printf("%d %d\n", big, byname["r"] > 0) }`)
	r := mon1(t, "snapshot", socket)
	var v struct {
		Script  string
		Globals []struct {
			Name     string
			Elements []struct{ Value json.Number }
		}
	}
	if err := json.Unmarshal([]byte(r.out), &v); err != nil || len(v.Globals) != 2 || v.Globals[0].Elements[0].Value != "9007199254740993" {
		t.Errorf("%v, %+v, %s", err, v, r.out)
	}
}
