// Package signer finds the key that signs a bundle: in a private key file, or in
// ssh-agent. What only runs bundles does not need it.
package signer

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Options say where keys that are not in the file come from.
type Options struct {
	// AgentSocket is the path of ssh-agent's socket (SSH_AUTH_SOCK). Empty means
	// that there is no agent.
	AgentSocket string
	// Passphrase asks for the passphrase of an encrypted key file; nil means that
	// nobody can be asked.
	Passphrase func(path string) ([]byte, error)
}

// Signer is a key that can sign. Close ends its connection to the agent.
type Signer struct {
	ssh.Signer
	conn net.Conn
}

// Close releases the agent's connection. It does nothing for key files.
func (s *Signer) Close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}

// maxKeyFile bounds a key file, bytes.
const maxKeyFile = 1 << 20

// Open returns the signer that a file stands for: the key in a private key file; or,
// for a public key or certificate file, the key that the agent holds to it. Security
// keys (FIDO2) and encrypted key files whose passphrase is not known work through
// the agent, with the public key file.
func Open(path string, opt Options) (*Signer, error) {
	data, err := readKey(path)
	if err != nil {
		return nil, err
	}
	if pub, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		s, err := fromAgent(pub, opt)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return s, nil
	}
	if err := checkPrivate(path); err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if opt.Passphrase == nil {
			return nil, fmt.Errorf("%s is encrypted: add it to ssh-agent, and name the public key file", path)
		}
		pass, perr := opt.Passphrase(path)
		if perr != nil {
			return nil, perr
		}
		key, err = ssh.ParsePrivateKeyWithPassphrase(data, pass)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Signer{Signer: key}, nil
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s is not a key file", path)
	}
	return os.ReadFile(path)
}

// checkPrivate refuses a private key that others can read, as ssh does.
func checkPrivate(path string) error {
	if runtime.GOOS == "windows" {
		return nil // its mode bits say nothing
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("%s: others can read this private key (mode %04o)", path, perm)
	}
	return nil
}

// fromAgent returns the agent's key for pub. For a certificate that the agent does
// not hold, its key will do.
func fromAgent(pub ssh.PublicKey, opt Options) (*Signer, error) {
	if opt.AgentSocket == "" {
		return nil, errors.New("a public key signs only through ssh-agent, and SSH_AUTH_SOCK is not set")
	}
	conn, err := net.Dial("unix", opt.AgentSocket)
	if err != nil {
		return nil, fmt.Errorf("ssh-agent: %w", err)
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("ssh-agent: %w", err)
	}
	if s := find(signers, pub); s != nil {
		return &Signer{s, conn}, nil
	}
	if cert, ok := pub.(*ssh.Certificate); ok {
		if s := find(signers, cert.Key); s != nil {
			cs, err := ssh.NewCertSigner(cert, s)
			if err != nil {
				conn.Close()
				return nil, err
			}
			return &Signer{cs, conn}, nil
		}
	}
	conn.Close()
	return nil, fmt.Errorf("ssh-agent does not hold the key %s", ssh.FingerprintSHA256(pub))
}

func find(signers []ssh.Signer, pub ssh.PublicKey) ssh.Signer {
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), pub.Marshal()) {
			return s
		}
	}
	return nil
}
