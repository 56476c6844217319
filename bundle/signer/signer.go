// Package signer finds the key that signs a bundle: in a private key file, or in
// ssh-agent. What only runs bundles does not need it.
package signer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"

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
// for a public key or certificate file (X.pub, X-cert.pub), the key that ssh-agent
// (SSH_AUTH_SOCK) holds to it, or else the private key file X beside it. Security keys (FIDO2) and encrypted key files work through the agent, with
// the public key file.
func Open(path string) (ssh.Signer, error) {
	return OpenWith(path, Options{AgentSocket: os.Getenv("SSH_AUTH_SOCK")})
}

// OpenWith is Open with another agent, or with somebody to ask for passphrases.
func OpenWith(path string, opt Options) (ssh.Signer, error) {
	data, err := readKey(path)
	if err != nil {
		return nil, err
	}
	if pub, _, _, _, perr := ssh.ParseAuthorizedKey(data); perr == nil {
		key, err := fromAgent(pub, opt)
		if err == nil {
			return key, nil
		}
		key, ferr := beside(path, pub, opt)
		switch {
		case ferr != nil:
			return nil, ferr
		case key == nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return key, nil
	}
	return openPrivate(path, data, opt)
}

// beside returns the key in the private key file that belongs to a public one by its name,
// as ssh-keygen does; nil if there is no such file.
func beside(path string, pub ssh.PublicKey, opt Options) (ssh.Signer, error) {
	private, ok := strings.CutSuffix(path, "-cert.pub")
	if !ok {
		if private, ok = strings.CutSuffix(path, ".pub"); !ok {
			return nil, nil
		}
	}
	data, err := readKey(private)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := openPrivate(private, data, opt)
	if err != nil {
		return nil, err
	}
	cert, certified := pub.(*ssh.Certificate)
	if certified {
		pub = cert.Key
	}
	if !bytes.Equal(pub.Marshal(), key.PublicKey().Marshal()) {
		return nil, fmt.Errorf("%s is not of the private key in %s", path, private)
	}
	if certified {
		return ssh.NewCertSigner(cert, key)
	}
	return key, nil
}

func openPrivate(path string, data []byte, opt Options) (ssh.Signer, error) {
	if err := checkPrivate(path); err != nil {
		return nil, err
	}
	return privateKey(path, data, opt)
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
func fromAgent(pub ssh.PublicKey, opt Options) (ssh.Signer, error) {
	if opt.AgentSocket == "" {
		return nil, errors.New("a public key signs only through ssh-agent, and SSH_AUTH_SOCK is not set")
	}
	held := &agentKey{opt.AgentSocket, pub}
	err := held.use(func(ssh.Signer) error { return nil })
	cert, ok := pub.(*ssh.Certificate)
	if errors.Is(err, errNotHeld) && ok {
		key := &agentKey{opt.AgentSocket, cert.Key}
		if err := key.use(func(ssh.Signer) error { return nil }); err != nil {
			return nil, err
		}
		return ssh.NewCertSigner(cert, key)
	}
	if err != nil {
		return nil, err
	}
	return held, nil
}

var errNotHeld = errors.New("ssh-agent does not hold the key")

// agentKey is a key in ssh-agent. It connects for each signature, so that it need
// not be closed.
type agentKey struct {
	socket string
	pub    ssh.PublicKey
}

func (k *agentKey) PublicKey() ssh.PublicKey { return k.pub }

func (k *agentKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

func (k *agentKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (sig *ssh.Signature, err error) {
	err = k.use(func(s ssh.Signer) error {
		as, ok := s.(ssh.AlgorithmSigner)
		if !ok {
			return errors.New("ssh-agent: the key cannot choose an algorithm")
		}
		sig, err = as.SignWithAlgorithm(rand, data, algorithm)
		return err
	})
	return sig, err
}

// use connects to the agent and calls do with the key.
func (k *agentKey) use(do func(ssh.Signer) error) error {
	conn, err := net.Dial("unix", k.socket)
	if err != nil {
		return fmt.Errorf("ssh-agent: %w", err)
	}
	defer conn.Close()
	keys, err := agent.NewClient(conn).Signers()
	if err != nil {
		return fmt.Errorf("ssh-agent: %w", err)
	}
	if s := find(keys, k.pub); s != nil {
		return do(s)
	}
	return fmt.Errorf("%w %s", errNotHeld, ssh.FingerprintSHA256(k.pub))
}

func find(signers []ssh.Signer, pub ssh.PublicKey) ssh.Signer {
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), pub.Marshal()) {
			return s
		}
	}
	return nil
}
