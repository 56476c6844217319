package ir

import (
	"strings"
	"testing"
)

// What a text is made from shows in its name; a new kind that is forgotten in the table
// would be made without the rights that it takes.
func TestTextSources(t *testing.T) {
	for k := TextNone; k < numTexts; k++ {
		name := k.String()
		var want Source
		switch {
		case k == TextTaskStack:
			want = FromKernel | FromThreads
		case k == TextFormat:
			want = FromKernel | FromUser
		case k == TextType, k == TextParms, k == TextNone:
		case strings.HasPrefix(name, "k"):
			want = FromKernel
		case strings.HasPrefix(name, "u"):
			want = FromUser
		default:
			t.Fatalf("%s: this test does not know what it is made from", name)
		}
		if strings.HasSuffix(name, "line") || strings.HasSuffix(name, "file") {
			want |= FromLines
		}
		if got := k.Sources(); got != want {
			t.Errorf("%s is made from %04b, want %04b", name, got, want)
		}
	}
	if got := Text(200).Sources(); got != 0 {
		t.Errorf("a text that there is not is made from %04b", got)
	}

	text := func(k Text) Type { return Type{Kind: Deferred, Width: 8, Text: k} }
	p := &Program{
		Formats: []Format{{Args: []Type{TInt, text(TextKSymFileLine)}}},
		Globals: []Global{{Keys: []Type{text(TextUStackSym)}, Value: TInt}},
		// The kind of text counts where there is one.
		Funcs: []*Func{{Body: []Stmt{&Eval{X: &MakeText{Kind: TextTaskStack, T: Type{Kind: Int, Text: TextTaskStack}}}}}},
	}
	if got, want := p.TextSources(), FromKernel|FromUser|FromLines; got != want {
		t.Errorf("the program's texts are made from %04b, want %04b", got, want)
	}
}
