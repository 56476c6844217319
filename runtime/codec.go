package loader

import (
	"bytes"
	"encoding/binary"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// native is the byte order of everything that loader and kernel share.
var native = binary.NativeEndian

// decodeValue reads a value of type t from the start of b, laid out as in maps
// and region buffers. b must hold all of it.
func decodeValue(t ir.Type, b []byte) interp.Value {
	switch t.Kind {
	case ir.Int:
		return interp.IntValue(int64(native.Uint64(b)))
	case ir.Str:
		b = b[:t.Width]
		if i := bytes.IndexByte(b, 0); i >= 0 {
			b = b[:i]
		}
		return interp.StrValue(string(b))
	case ir.Deferred:
		return interp.DeferredValue(t.Text, string(b[:t.Width]))
	}
	return interp.Value{}
}

// encodeValue writes v as type t over the start of b and zeroes what it does not
// fill. A string that is too long is cut, as storing it does.
func encodeValue(t ir.Type, b []byte, v interp.Value) {
	switch t.Kind {
	case ir.Int:
		native.PutUint64(b, uint64(v.I))
	case ir.Str:
		n := copy(b[:t.Width-1], v.S)
		clear(b[n:t.Width])
	case ir.Deferred:
		n := copy(b[:t.Width], v.S)
		clear(b[n:t.Width])
	}
}

// keyCodec converts the keys of one array.
type keyCodec struct {
	types []ir.Type
	offs  []int
	size  int
}

func newKeyCodec(types []ir.Type) keyCodec {
	offs, size := ir.KeyLayout(types)
	return keyCodec{types, offs, size}
}

func (k *keyCodec) encode(b []byte, keys []interp.Value) {
	for i, t := range k.types {
		encodeValue(t, b[k.offs[i]:], keys[i])
	}
}

// decode reads keys into vs.
func (k *keyCodec) decode(vs []interp.Value, b []byte) {
	for i, t := range k.types {
		vs[i] = decodeValue(t, b[k.offs[i]:])
	}
}
