package stapfmt

import (
	"math/rand/v2"
	"slices"

	"stapkit/syntax"
)

// mutate changes a few tokens of a script: deletes, doubles, swaps and replaces them, or
// puts white space and comments between them.
func mutate(rnd *rand.Rand, src []byte, n int) []byte {
	for range n {
		f := parse("mutant", src)
		if len(f.Tokens) < 3 {
			return src
		}
		i := rnd.IntN(len(f.Tokens) - 1)
		t := f.Tokens[i]
		text := func(i int) string { return f.Text(i) }
		replace := func(from, to int32, s string) {
			src = slices.Concat(src[:from], []byte(s), src[to:])
		}
		switch rnd.IntN(9) {
		case 0:
			replace(t.Off, t.End, "")
		case 1:
			replace(t.End, t.End, " "+text(i))
		case 2:
			replace(t.Off, t.End, text(rnd.IntN(len(f.Tokens))))
		case 3:
			replace(t.Off, t.Off, text(rnd.IntN(len(f.Tokens)))+" ")
		case 4:
			u := f.Tokens[i+1]
			if u.Kind != syntax.EOF {
				replace(t.Off, u.End, text(i+1)+string(src[t.End:u.Off])+text(i))
			}
		case 5:
			replace(t.Off, t.Off, []string{" ", "\n", "\n\n\n", "\t", "\r\n", ";", "\f"}[rnd.IntN(7)])
		case 6:
			replace(t.Off, t.Off, []string{"/* m */", " /* m\n * n */ ", "// m\n", "# m\n", "\n/* stapfmt:off */\n", "// stapfmt:on\n", "# stapfmt:off\n"}[rnd.IntN(7)])
		case 7:
			end := min(int(t.Off)+1, len(src))
			replace(t.Off, int32(end), string([]byte{byte(rnd.IntN(256))}))
		default: // join with what follows
			replace(t.End, f.Tokens[i+1].Off, "")
		}
	}
	return src
}
