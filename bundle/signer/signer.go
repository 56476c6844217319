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

// maxKeyFile bounds a key file, bytes.
const maxKeyFile = 1 << 20

// Open returns the signer that a file stands for: the key in a private key file; or,
// for a public key or certificate file, the key that the agent holds to it. Security
// keys (FIDO2) and encrypted key files whose passphrase is not known work through
// the agent, with the public key file. release ends the connection to the agent; it
// is nil where err is not.
func Open(path string, opt Options) (key ssh.Signer, release func() error, err error) {
	data, err := readKey(path)
	if err != nil {
		return nil, nil, err
	}
	if pub, _, _, _, perr := ssh.ParseAuthorizedKey(data); perr == nil {
		if key, release, err = fromAgent(pub, opt); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		return key, release, nil
	}
	if err := checkPrivate(path); err != nil {
		return nil, nil, err
	}
	if key, err = privateKey(path, data, opt); err != nil {
		return nil, nil, err
	}
	return key, func() error { return nil }, nil
}

func privateKey(path string, data []byte, opt Options) (ssh.Signer, error) {
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
	return key, nil
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
func fromAgent(pub ssh.PublicKey, opt Options) (ssh.Signer, func() error, error) {
	if opt.AgentSocket == "" {
		return nil, nil, errors.New("a public key signs only through ssh-agent, and SSH_AUTH_SOCK is not set")
	}
	conn, err := net.Dial("unix", opt.AgentSocket)
	if err != nil {
		return nil, nil, fmt.Errorf("ssh-agent: %w", err)
	}
	key, err := agentKey(agent.NewClient(conn), pub)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("ssh-agent: %w", err), conn.Close())
	}
	return key, conn.Close, nil
}

func agentKey(a agent.Agent, pub ssh.PublicKey) (ssh.Signer, error) {
	keys, err := a.Signers()
	if err != nil {
		return nil, err
	}
	if key := find(keys, pub); key != nil {
		return key, nil
	}
	if cert, ok := pub.(*ssh.Certificate); ok {
		if key := find(keys, cert.Key); key != nil {
			return ssh.NewCertSigner(cert, key)
		}
	}
	return nil, fmt.Errorf("it does not hold the key %s", ssh.FingerprintSHA256(pub))
}

func find(signers []ssh.Signer, pub ssh.PublicKey) ssh.Signer {
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), pub.Marshal()) {
			return s
		}
	}
	return nil
}
