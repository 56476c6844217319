package trust

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/ssh"
)

// krlMagic begins OpenSSH's binary key revocation lists (PROTOCOL.krl).
const krlMagic = "SSHKRL\n\x00"

// Sections of a key revocation list, and of its certificate sections.
const (
	krlCertificates = 1
	krlExplicitKey  = 2
	krlSHA1         = 3
	krlSignature    = 4
	krlSHA256       = 5
	krlExtension    = 255

	krlSerialList    = 0x20
	krlSerialRange   = 0x21
	krlSerialBitmap  = 0x22
	krlKeyID         = 0x23
	krlCertExtension = 0x39
)

// certRevocation revokes certificates by what stands in them.
type certRevocation struct {
	ca       []byte // the authority's key, empty: whoever signed
	at       place
	serials  []uint64 // sorted
	ranges   [][2]uint64
	bitmaps  []serialBitmap
	identity map[string]bool
}

// serialBitmap revokes first+i for each bit i that is set.
type serialBitmap struct {
	first uint64
	bits  *big.Int
}

// revokes reports whether the certificate, which authority signed, is meant.
func (c *certRevocation) revokes(cert *ssh.Certificate, authority []byte) bool {
	if len(c.ca) > 0 && !bytes.Equal(c.ca, authority) {
		return false
	}
	if c.identity[cert.KeyId] {
		return true
	}
	// Zero is what certificates have whose authority gave no number.
	if cert.Serial == 0 {
		return false
	}
	if _, ok := slices.BinarySearch(c.serials, cert.Serial); ok {
		return true
	}
	for _, r := range c.ranges {
		if r[0] <= cert.Serial && cert.Serial <= r[1] {
			return true
		}
	}
	for _, b := range c.bitmaps {
		if cert.Serial < b.first {
			continue
		}
		if i := cert.Serial - b.first; i < uint64(b.bits.BitLen()) && b.bits.Bit(int(i)) == 1 {
			return true
		}
	}
	return false
}

// sshReader reads the encodings of SSH's wire format (RFC 4251, section 5). After the
// first error it yields nothing more.
type sshReader struct {
	b   []byte
	err error
}

func (r *sshReader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		if r.err == nil {
			r.err = errors.New("it is cut short")
		}
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *sshReader) more() bool { return r.err == nil && len(r.b) > 0 }

func (r *sshReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *sshReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *sshReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *sshReader) string() []byte {
	n := r.uint32()
	if int64(n) > int64(len(r.b)) {
		return r.take(len(r.b) + 1)
	}
	return r.take(int(n))
}

// parseKRL reads a binary revocation list. Its signatures are passed over: what makes
// the list count is who owns the file. What it does not know, it refuses.
func parseKRL(file string, data []byte) (*Revocations, error) {
	r := newRevocations()
	at := place{file: file}
	rd := &sshReader{b: data[len(krlMagic):]}
	if v := rd.uint32(); rd.err == nil && v != 1 {
		return nil, fmt.Errorf("%s: revocation list of format %d, known is 1", file, v)
	}
	rd.uint64() // number of the list
	rd.uint64() // when it was made
	rd.uint64() // flags, none are defined
	rd.string() // reserved
	rd.string() // comment
	signed := false
	for rd.more() {
		kind := rd.byte()
		if kind == krlSignature {
			rd.string() // key
			rd.string() // signature
			signed = true
			continue
		}
		sec := &sshReader{b: rd.string()}
		if rd.err != nil {
			break
		}
		if signed {
			return nil, fmt.Errorf("%s: something follows the signature of the list", file)
		}
		if err := r.krlSection(kind, sec, at); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if rd.err != nil {
		return nil, fmt.Errorf("%s: %w", file, rd.err)
	}
	return r, nil
}

func (r *Revocations) krlSection(kind byte, sec *sshReader, at place) error {
	switch kind {
	case krlCertificates:
		return r.krlCerts(sec, at)
	case krlExplicitKey:
		for sec.more() {
			blob := sec.string()
			if sec.err != nil {
				break
			}
			key, err := ssh.ParsePublicKey(blob)
			if err != nil {
				return fmt.Errorf("a key in it: %w", err)
			}
			r.keys[ssh.FingerprintSHA256(key)] = at
		}
	case krlSHA1:
		for sec.more() {
			if h := sec.string(); sec.err == nil && len(h) != sha1.Size {
				return errors.New("a fingerprint in it has the wrong length")
			} else if sec.err == nil {
				r.sha1[[sha1.Size]byte(h)] = at
			}
		}
	case krlSHA256:
		for sec.more() {
			if h := sec.string(); sec.err == nil && len(h) != 32 {
				return errors.New("a fingerprint in it has the wrong length")
			} else if sec.err == nil {
				r.keys[fingerprint(h)] = at
			}
		}
	case krlExtension:
		return extension(sec)
	default:
		return fmt.Errorf("it has a section of unknown kind %d", kind)
	}
	return sec.err
}

// extension passes over an extension that need not be understood.
func extension(sec *sshReader) error {
	name := sec.string()
	critical := sec.byte() != 0
	sec.string()
	if sec.err == nil && critical {
		return fmt.Errorf("it has the unknown critical extension %.60q", name)
	}
	return sec.err
}

func (r *Revocations) krlCerts(sec *sshReader, at place) error {
	c := &certRevocation{at: at, ca: bytes.Clone(sec.string()), identity: map[string]bool{}}
	sec.string() // reserved
	for sec.more() {
		kind := sec.byte()
		sub := &sshReader{b: sec.string()}
		if sec.err != nil {
			break
		}
		switch kind {
		case krlSerialList:
			for sub.more() {
				c.serials = append(c.serials, sub.uint64())
			}
		case krlSerialRange:
			lo, hi := sub.uint64(), sub.uint64()
			if sub.err == nil && lo > hi {
				return errors.New("it has a range of serial numbers that ends before it begins")
			}
			c.ranges = append(c.ranges, [2]uint64{lo, hi})
		case krlSerialBitmap:
			first, bits := sub.uint64(), sub.string()
			if len(bits) > 0 && bits[0]&0x80 != 0 {
				return errors.New("it has a negative bitmap")
			}
			c.bitmaps = append(c.bitmaps, serialBitmap{first, new(big.Int).SetBytes(bits)})
		case krlKeyID:
			for sub.more() {
				c.identity[string(sub.string())] = true
			}
		case krlCertExtension:
			if err := extension(sub); err != nil {
				return err
			}
		default:
			return fmt.Errorf("it has a certificate section of unknown kind %#x", kind)
		}
		if sub.err != nil {
			return sub.err
		}
		if len(sub.b) > 0 {
			return fmt.Errorf("a certificate section of kind %#x is longer than its content", kind)
		}
	}
	if sec.err != nil {
		return sec.err
	}
	slices.Sort(c.serials)
	r.certs = append(r.certs, c)
	return nil
}
