package bundle_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/crypto/ssh"

	"stapkit/bundle"
	"stapkit/compile/object"
)

// testObject is a small object with every kind of section.
func testObject(t testing.TB) []byte {
	t.Helper()
	return makeObject(t, []object.Section{{Name: ".stap.info", Data: []byte("probe rows")}})
}

// makeObject is testObject with other sections of ours.
func makeObject(t testing.TB, sections []object.Section) []byte {
	t.Helper()
	obj, err := object.Write(&object.Spec{
		Programs: []object.Program{{Name: "p", Section: "raw_tp/sys_enter", Insns: asm.Instructions{
			asm.LoadMapPtr(asm.R1, 0).WithReference("m").WithSource(object.Line{File: "t.stp", Text: "probe x {}", Line: 1, Col: 1}),
			asm.Call.Label("f"),
			asm.LoadMapValue(asm.R1, 0, 0).WithReference(".bss"),
			asm.Return(),
		}}},
		Functions: []object.Function{{Name: "f", Insns: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}}},
		Maps:      []object.Map{{Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}},
		Data:      []object.Data{{Name: ".bss", Size: 16}, {Name: ".rodata.x", Bytes: []byte{1, 2, 3}}},
		Sections:  sections,
	})
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

func testManifest() bundle.Manifest {
	return bundle.Manifest{
		Script: "hällo.stp", ScriptSHA256: sha256.Sum256([]byte("probe x {}")), Tool: "stapkit 0.0",
		Fields: []bundle.Field{{Name: "x-a", Value: "1"}, {Name: "x-b", Value: "\"two\"\n"}},
	}
}

func testBundle(t testing.TB) []byte {
	t.Helper()
	b, err := bundle.Write(testObject(t), testManifest())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t testing.TB, data []byte, key ssh.Signer) []byte {
	t.Helper()
	out, err := bundle.Sign(data, key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parse(t testing.TB, data []byte) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestUnsigned(t *testing.T) {
	obj := testObject(t)
	data := testBundle(t)
	b := parse(t, data)
	if !bytes.Equal(b.ELF, obj) {
		t.Error("the object has changed")
	}
	if b.Expected || len(b.Signatures) != 0 {
		t.Errorf("expected %v, %d signatures", b.Expected, len(b.Signatures))
	}
	if string(b.Sections[".stap.info"]) != "probe rows" || b.Sections["license"] == nil {
		t.Errorf("sections %v", b.Names)
	}
	want := testManifest()
	m := b.Manifest
	if m.Script != want.Script || m.ScriptSHA256 != want.ScriptSHA256 || m.Tool != want.Tool ||
		m.ELFLength != int64(len(obj)) || m.ELFSHA256 != sha256.Sum256(obj) || len(m.Fields) != 2 || m.Fields[1] != want.Fields[1] {
		t.Errorf("manifest %+v", m)
	}
	if len(m.Sections) != len(b.Names) {
		t.Errorf("%d sections in the manifest, %d in the object", len(m.Sections), len(b.Names))
	}
	for i, s := range m.Sections {
		if s.Name != b.Names[i] || s.SHA256 != sha256.Sum256(b.Sections[s.Name]) {
			t.Errorf("section %d is %q, listed as %+v", i, b.Names[i], s)
		}
	}
	again, err := bundle.Write(obj, testManifest())
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("the same input gave other bytes (%v)", err)
	}
}

func TestSigned(t *testing.T) {
	key, second := newKey(t), newKey(t)
	one := signed(t, testBundle(t), key)
	b := parse(t, one)
	if !b.Expected || len(b.Signatures) != 1 {
		t.Fatalf("expected %v, %d signatures", b.Expected, len(b.Signatures))
	}
	pub, err := b.Signatures[0].Verify(b.Message)
	if err != nil || !bytes.Equal(pub.Marshal(), key.PublicKey().Marshal()) {
		t.Errorf("key %v, error %v", pub, err)
	}
	// A second signature covers the same text and leaves the first alone.
	two := parse(t, signed(t, one, second))
	if len(two.Signatures) != 2 || !bytes.Equal(two.Message, b.Message) || !bytes.Equal(two.Signatures[0].Data, b.Signatures[0].Data) {
		t.Errorf("%d signatures", len(two.Signatures))
	}
	if pub, err := two.Signatures[1].Verify(two.Message); err != nil || !bytes.Equal(pub.Marshal(), second.PublicKey().Marshal()) {
		t.Errorf("second key %v, error %v", pub, err)
	}
	if _, err := bundle.Attach(one, b.Signatures[0].Data); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("the same signature twice: %v", err)
	}
	other := parse(t, signed(t, testBundle(t), second))
	if again := signed(t, testBundle(t), key); !bytes.Equal(again, one) {
		t.Error("Ed25519 signing is not deterministic")
	}
	if !bytes.Equal(other.Message, b.Message) {
		t.Error("the signed text depends on the signer")
	}
	// A signature of other text.
	m := testManifest()
	m.Tool = "another"
	data, err := bundle.Write(testObject(t), m)
	if err != nil {
		t.Fatal(err)
	}
	prepared, _, err := bundle.Prepare(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Attach(prepared, b.Signatures[0].Data); err == nil {
		t.Error("attached a signature of another bundle")
	}
	if _, err := bundle.Attach(data, b.Signatures[0].Data); err == nil || !strings.Contains(err.Error(), "prepare") {
		t.Errorf("attached to a bundle that is not prepared: %v", err)
	}
}

// TestEveryByte changes and cuts a file in every place: Parse must notice all but
// what lies within the signature's own proof, which Verify must notice.
func TestEveryByte(t *testing.T) {
	for name, data := range map[string][]byte{
		"unsigned": testBundle(t),
		"signed":   signed(t, signed(t, testBundle(t), newKey(t)), newKey(t)),
	} {
		t.Run(name, func(t *testing.T) {
			for n := range data {
				if _, err := bundle.Parse(data[:n]); !errors.Is(err, bundle.ErrFormat) {
					t.Fatalf("cut to %d of %d bytes: %v", n, len(data), err)
				}
			}
			changed := bytes.Clone(data)
			for i := range data {
				for _, x := range []byte{0x01, 0x80, 0x20, 0xff} {
					changed[i] = data[i] ^ x
					if _, err := bundle.Parse(changed); !errors.Is(err, bundle.ErrFormat) {
						t.Fatalf("byte %d of %d changed by %#x: %v", i, len(data), x, err)
					}
				}
				changed[i] = data[i]
			}
			if _, err := bundle.Parse(append(bytes.Clone(data), 0)); !errors.Is(err, bundle.ErrFormat) {
				t.Errorf("one byte more: %v", err)
			}
		})
	}
}

// TestOtherLoaders has cilium/ebpf and libbpf read the whole signed file.
func TestOtherLoaders(t *testing.T) {
	data := signed(t, testBundle(t), newKey(t))
	cs, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(data))
	if err != nil || cs.Programs["p"] == nil || cs.Maps["m"] == nil {
		t.Errorf("cilium/ebpf reads %+v, %v", cs, err)
	}
	tool, err := exec.LookPath("bpftool")
	if err != nil {
		if tool = "/usr/sbin/bpftool"; os.Geteuid() != 0 {
			t.Skip("bpftool needs root")
		}
		if _, err := os.Stat(tool); err != nil {
			t.Skip("bpftool is not installed")
		}
	}
	file := filepath.Join(t.TempDir(), "b.o")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"gen", "skeleton", file}, {"btf", "dump", "file", file}} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Errorf("bpftool %v: %v: %s", args, err, out)
		}
	}
}

func TestManifestText(t *testing.T) {
	text := string(parse(t, testBundle(t)).Message)
	for _, want := range []string{
		"stapkit-bundle 1.0\nscript \"h\\u00e4llo.stp\"\nscript-sha256 ", "\ntool \"stapkit 0.0\"\nelf-length ",
		"\nsection \".text\" 16 ", "\nx-a \"1\"\nx-b \"\\\"two\\\"\\n\"\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("manifest lacks %q:\n%s", want, text)
		}
	}
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("manifest lacks %q", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for name, bad := range map[string]string{
		"empty":            "",
		"no newline":       strings.TrimSuffix(text, "\n"),
		"blank line":       text + "\n",
		"leading zero":     replace("elf-length ", "elf-length 0"),
		"plus":             replace("elf-length ", "elf-length +"),
		"upper-case hash":  replace("elf-sha256 ", "elf-sha256 A")[:len(text)],
		"raw string":       replace(`"1"`, "`1`"),
		"unescaped":        replace(`\u00e4`, "ä"),
		"other order":      replace("tool \"stapkit 0.0\"\n", ""),
		"trailing blank":   replace("x-a \"1\"", "x-a \"1\" "),
		"fields unordered": replace("x-a \"1\"", "x-z \"1\""),
		"field twice":      text + "x-b \"2\"\n",
		"bad field name":   text + "x-Ü \"2\"\n",
		"carriage return":  replace("tool \"stapkit 0.0\"", "tool \"stapkit 0.0\"\r"),
	} {
		if _, err := bundle.ParseManifest([]byte(bad)); !errors.Is(err, bundle.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var newer *bundle.VersionError
	for _, bad := range []string{replace("stapkit-bundle 1.0", "stapkit-bundle 2.3"), text + "must-know \"x\"\n"} {
		if _, err := bundle.ParseManifest([]byte(bad)); !errors.As(err, &newer) || errors.Is(err, bundle.ErrFormat) {
			t.Errorf("newer manifest: %v", err)
		}
	}
	if _, err := bundle.ParseManifest([]byte(replace("stapkit-bundle 1.0", "stapkit-bundle 1.7"))); err != nil {
		t.Errorf("newer minor version: %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	obj := testObject(t)
	for name, m := range map[string]bundle.Manifest{
		"field name":  {Fields: []bundle.Field{{Name: "a", Value: ""}}},
		"field order": {Fields: []bundle.Field{{Name: "x-b"}, {Name: "x-a"}}},
		"long string": {Script: strings.Repeat("x", 5000)},
		"not UTF-8":   {Script: "\xff"},
	} {
		if _, err := bundle.Write(obj, m); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	unmarked := bytes.Replace(obj, []byte("unsigned"), []byte("whatever"), 1)
	for name, elf := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "mark": unmarked, "short": obj[:len(obj)-64]} {
		if _, err := bundle.Write(elf, testManifest()); !errors.Is(err, bundle.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse feeds damaged files. What Parse accepts must come back the same from
// Write, so that no two files mean the same.
func FuzzParse(f *testing.F) {
	data := testBundle(f)
	f.Add(data)
	f.Add(signed(f, data, newKey(f)))
	f.Add([]byte("~stapkit-bundle\n"))
	f.Add(data[:len(data)-64])
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := bundle.Parse(data)
		if err != nil {
			return
		}
		if len(b.Signatures) > 0 {
			for _, s := range b.Signatures {
				if _, err := s.Verify(b.Message); err == nil {
					_, _ = s.Armor()
				}
			}
			return
		}
		if again, err := bundle.Write(b.ELF, b.Manifest); err != nil || (!bytes.Equal(again, data) && len(b.Records) == 1 && b.Manifest.Minor == bundle.Minor) {
			t.Fatalf("written again it differs (%v)", err)
		}
	})
}

// FuzzObject puts a footer that fits behind damaged objects, so that the checks of
// the ELF layout are reached.
func FuzzObject(f *testing.F) {
	f.Add(testObject(f))
	f.Fuzz(func(t *testing.T, elf []byte) {
		data, err := bundle.Write(elf, bundle.Manifest{})
		if err != nil {
			return
		}
		if _, err := bundle.Parse(data); err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
	})
}

// FuzzManifest checks that a manifest has one text.
func FuzzManifest(f *testing.F) {
	f.Add(parse(f, testBundle(f)).Message)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := bundle.ParseManifest(text)
		if err != nil {
			return
		}
		again, err := m.Text()
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%q became %q (%v)", text, again, err)
		}
	})
}
