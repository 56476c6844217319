// Command release builds what a release consists of, into one folder: archives of
// static commands with their manual, checksums, a list of what is in them (CycloneDX)
// and, with -key, a signature. The same sources and Go version give the same bytes.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// A platform is what an archive is for, and which commands are in it.
type platform struct {
	system, machine string
	commands        []string
}

// devbox are the commands of a development machine that is no Linux; stap compiles and
// lists there, for hosts that were described.
var devbox = []string{"stap", "stapc", "stapfmt", "staplint", "staplsp"}

func platforms(all []string) []platform {
	return []platform{
		{"linux", "amd64", all}, {"linux", "arm64", all},
		{"darwin", "amd64", devbox}, {"darwin", "arm64", devbox}, {"windows", "amd64", devbox},
	}
}

// A file goes into an archive.
type file struct {
	name string
	mode fs.FileMode
	data []byte
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("release: ")
	out := flag.String("out", "build/release", "the `DIR` to write into")
	version := flag.String("version", "", "the version to stamp")
	key := flag.String("key", "", "sign the checksums with the SSH key in `FILE`")
	arm64 := flag.String("arm64", "", "what make test-arm64 has written into `FILE`, which becomes part of the release")
	only := flag.String("only", "", "one platform, as in linux/amd64")
	epoch := flag.Int64("epoch", 0, "the time of files, in seconds since 1970: that of the commit")
	flag.Parse()
	if err := release(*out, *version, *key, *only, *arm64, time.Unix(*epoch, 0).UTC()); err != nil {
		log.Fatal(err)
	}
}

func release(out, version, key, only, arm64 string, at time.Time) error {
	if version == "" || strings.Trim(version, "0123456789abcdefghijklmnopqrstuvwxyz.-+") != "" {
		return fmt.Errorf("-version %q: give a version such as 1.2.3", version)
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	mains, err := filepath.Glob("cmd/*/main.go")
	if err != nil {
		return err
	}
	var all []string
	for _, m := range mains {
		all = append(all, filepath.Base(filepath.Dir(m)))
	}
	papers, err := papers(version)
	if err != nil {
		return err
	}
	var names []string
	modules := map[string]string{}
	for _, p := range platforms(all) {
		if only != "" && only != p.system+"/"+p.machine {
			continue
		}
		files, err := p.build(version, modules)
		if err != nil {
			return err
		}
		base := fmt.Sprintf("stapkit-%s-%s-%s", version, p.system, p.machine)
		files = append(files, papers...)
		slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
		var data []byte
		if p.system == "windows" {
			base += ".zip"
			data, err = zipped(strings.TrimSuffix(base, ".zip"), files, at)
		} else {
			base += ".tar.gz"
			data, err = tarred(strings.TrimSuffix(base, ".tar.gz"), files, at)
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, base), data, 0o644); err != nil {
			return err
		}
		names = append(names, base)
		fmt.Printf("%s  %d bytes\n", base, len(data))
	}
	if len(names) == 0 {
		return fmt.Errorf("-only %s: there is no such platform", only)
	}
	bom, err := billOfMaterials(version, modules, at)
	if err != nil {
		return err
	}
	sbom := "stapkit-" + version + ".cdx.json"
	if err := os.WriteFile(filepath.Join(out, sbom), bom, 0o644); err != nil {
		return err
	}
	names = append(names, sbom)
	if arm64 == "" {
		fmt.Println("no result of make test-arm64 goes with it")
	} else {
		b, err := os.ReadFile(arm64)
		if err != nil {
			return err
		}
		fmt.Printf("%s", b)
		tested := "stapkit-" + version + "-arm64.txt"
		if err := os.WriteFile(filepath.Join(out, tested), b, 0o644); err != nil {
			return err
		}
		names = append(names, tested)
	}
	var sums bytes.Buffer
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(out, n))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(b), n)
	}
	list := filepath.Join(out, "SHA256SUMS")
	if err := os.WriteFile(list, sums.Bytes(), 0o644); err != nil {
		return err
	}
	if key == "" {
		fmt.Println("not signed: give -key")
		return nil
	}
	cmd := exec.Command("ssh-keygen", "-q", "-Y", "sign", "-n", "stapkit-release", "-f", key, list)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// build compiles the commands and notes the modules that are in them.
func (p platform) build(version string, modules map[string]string) ([]file, error) {
	dir, err := os.MkdirTemp("", "stapkit-release")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var files []file
	for _, c := range p.commands {
		name := c
		if p.system == "windows" {
			name += ".exe"
		}
		bin := filepath.Join(dir, name)
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -X stapkit/cli.Version="+version, "-o", bin, "./cmd/"+c)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+p.system, "GOARCH="+p.machine, "GOAMD64=v1")
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s for %s/%s: %w\n%s", c, p.system, p.machine, err, text)
		}
		info, err := buildinfo.ReadFile(bin)
		if err != nil {
			return nil, err
		}
		modules["go"] = info.GoVersion
		for _, m := range info.Deps {
			modules[m.Path] = m.Version
		}
		b, err := os.ReadFile(bin)
		if err != nil {
			return nil, err
		}
		files = append(files, file{"bin/" + name, 0o755, b})
	}
	return files, nil
}

// papers are the files that are the same for all platforms: manual, completions,
// licence.
func papers(version string) ([]file, error) {
	dir, err := os.MkdirTemp("", "stapkit-papers")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, args := range [][]string{
		{"./internal/gen/commands", "-man", filepath.Join(dir, "share/man"), "-version", version},
		{"./internal/gen/commands", "-completions", filepath.Join(dir, "share/completions")},
		{"./internal/gen/tapsetdocs", "-man", filepath.Join(dir, "share/man/man3")},
		{"./internal/gen/manual", "-out", filepath.Join(dir, "share/doc/stapkit")},
	} {
		cmd := exec.Command("go", append([]string{"run"}, args...)...)
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", args[0], err, text)
		}
	}
	var files []file
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		// "::" in names of pages is for man(1) only; archives are unpacked everywhere.
		name := strings.ReplaceAll(filepath.ToSlash(strings.TrimPrefix(p, dir+"/")), "::", "-")
		files = append(files, file{name, 0o644, b})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, n := range []string{"LICENSE", "README.md", "CHANGELOG.md", "docs/upgrading.md"} {
		b, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		files = append(files, file{filepath.Base(n), 0o644, b})
	}
	return files, nil
}

func tarred(top string, files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: top + "/" + f.name, Mode: int64(f.mode), Size: int64(len(f.data)), ModTime: at, Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

func zipped(top string, files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: top + "/" + f.name, Method: zip.Deflate, Modified: at}
		h.SetMode(f.mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, bytes.NewReader(f.data)); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// billOfMaterials lists the modules that are linked into the commands.
func billOfMaterials(version string, modules map[string]string, at time.Time) ([]byte, error) {
	bom := cdx.NewBOM()
	// The same for the same content.
	bom.SerialNumber = ""
	app := cdx.Component{BOMRef: "stapkit", Type: cdx.ComponentTypeApplication, Name: "stapkit", Version: version}
	bom.Metadata = &cdx.Metadata{Timestamp: at.Format(time.RFC3339), Component: &app}
	var names, refs []string
	for n := range modules {
		names = append(names, n)
	}
	sort.Strings(names)
	var list []cdx.Component
	for _, n := range names {
		v := modules[n]
		c := cdx.Component{Type: cdx.ComponentTypeLibrary, Name: n, Version: v, PackageURL: "pkg:golang/" + n + "@" + v}
		if n == "go" {
			c.Name, c.Version = "std", strings.TrimPrefix(v, "go")
			c.PackageURL = "pkg:golang/std@" + c.Version
		}
		c.BOMRef = c.PackageURL
		refs = append(refs, c.BOMRef)
		list = append(list, c)
	}
	bom.Components = &list
	bom.Dependencies = &[]cdx.Dependency{{Ref: "stapkit", Dependencies: &refs}}
	var b bytes.Buffer
	enc := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON)
	enc.SetPretty(true)
	err := enc.Encode(bom)
	return b.Bytes(), err
}
