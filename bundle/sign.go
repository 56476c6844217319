package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Namespace is the SSHSIG namespace of bundle signatures: a signature made for
// another purpose with the same key is no signature of a bundle.
const Namespace = "stapkit-bundle"

// Signature is an SSH signature in binary form (PROTOCOL.sshsig).
type Signature struct {
	Data []byte
}

// Sign returns the bundle signed by the key. An already signed bundle gets one more
// signature.
func Sign(data []byte, key ssh.Signer) ([]byte, error) {
	prepared, message, err := Prepare(data)
	if err != nil {
		return nil, err
	}
	// Parsed again, since an agent's keys have a type of their own.
	pub, err := ssh.ParsePublicKey(key.PublicKey().Marshal())
	if err != nil {
		return nil, fmt.Errorf("bundle: sign: %w", err)
	}
	if c, ok := pub.(*ssh.Certificate); ok && c.Key.Type() == ssh.KeyAlgoRSA {
		as, ok := key.(ssh.AlgorithmSigner)
		if !ok {
			return nil, errors.New("bundle: sign: the RSA key signs only with SHA-1")
		}
		key = rsaSHA2{as}
	}
	sig, err := sshsig.Sign(bytes.NewReader(message), key, sshsig.HashSHA512, Namespace)
	if err != nil {
		return nil, fmt.Errorf("bundle: sign: %w", err)
	}
	return Attach(prepared, sig.Marshal())
}

// rsaSHA2 is a certified RSA key that never signs with SHA-1. package sshsig sees to
// that for plain RSA keys only.
type rsaSHA2 struct{ ssh.AlgorithmSigner }

func (s rsaSHA2) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, ssh.KeyAlgoRSASHA512)
}

// decodeSignature reads an armored or binary signature.
func decodeSignature(b []byte) (Signature, error) {
	if bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("-----BEGIN")) {
		sig, err := sshsig.Unarmor(b)
		if err != nil {
			return Signature{}, fmt.Errorf("bundle: signature: %w", err)
		}
		return Signature{sig.Marshal()}, nil
	}
	return Signature{b}, nil
}

// minRSABits is the size below which an RSA key is not taken.
const minRSABits = 2048

// Verify checks the signature over message with the key that it names, and returns
// that key, a certificate perhaps. It says nothing of whether the key is trusted.
func (s Signature) Verify(message []byte) (ssh.PublicKey, error) {
	if len(s.Data) > maxSignature {
		return nil, fmt.Errorf("bundle: signature of %d bytes", len(s.Data))
	}
	sig, err := sshsig.ParseSignature(s.Data)
	if err != nil {
		return nil, fmt.Errorf("bundle: signature: %w", err)
	}
	if !bytes.Equal(sig.Marshal(), s.Data) {
		return nil, errors.New("bundle: the signature is not in its canonical form")
	}
	key := sig.PublicKey
	if c, ok := key.(*ssh.Certificate); ok {
		key = c.Key
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := c.CryptoPublicKey().(interface{ Size() int }); ok && k.Size()*8 < minRSABits {
			return nil, fmt.Errorf("bundle: signature by an RSA key of %d bits", k.Size()*8)
		}
	}
	if sig.Signature.Format == ssh.KeyAlgoRSA {
		return nil, errors.New("bundle: signature with SHA-1")
	}
	if key.Type() == "ssh-dss" {
		return nil, errors.New("bundle: signature by a DSA key")
	}
	if err := sshsig.Verify(bytes.NewReader(message), sig, sig.PublicKey, sig.HashAlgorithm, Namespace); err != nil {
		return nil, fmt.Errorf("bundle: signature: %w", err)
	}
	return sig.PublicKey, nil
}

// Armor returns the signature as ssh-keygen reads it. With the message in a file,
//
//	ssh-keygen -Y verify -n stapkit-bundle -f allowed_signers -I WHO -s FILE.sig < FILE
//
// verifies it.
func (s Signature) Armor() ([]byte, error) {
	sig, err := sshsig.ParseSignature(s.Data)
	if err != nil {
		return nil, fmt.Errorf("bundle: signature: %w", err)
	}
	return sshsig.Armor(sig), nil
}
