package btf

import (
	"bytes"
	"encoding/binary"
)

// Find gives the raw BTF of a kernel that lies somewhere in data, as in an image without
// sections: the largest blob that can be read. It fails with ErrNoBTF if there is none.
func Find(data []byte) ([]byte, error) {
	var best []byte
	for _, bo := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		begin := append(bo.AppendUint16(nil, magic), 1, 0)
		begin = bo.AppendUint32(begin, headerSize)
		for rest := data; ; {
			i := bytes.Index(rest, begin)
			if i < 0 {
				break
			}
			raw := rest[i:]
			rest = raw[len(begin):]
			p, err := sections("image", raw[:min(len(raw), maxSize)])
			if err != nil {
				continue
			}
			size := max(p.typesAt+len(p.types), p.stringsAt+len(p.strings))
			if size <= len(best) {
				continue
			}
			if s, err := Parse("image", raw[:size]); err == nil && s.Types() > 1 {
				best = raw[:size]
			}
		}
	}
	if best == nil {
		return nil, ErrNoBTF
	}
	return bytes.Clone(best), nil // not the whole image with it
}
