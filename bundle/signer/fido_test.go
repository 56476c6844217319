package signer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"stapkit/bundle"
	"stapkit/bundle/trust"
)

// token is ssh-agent with a FIDO key in it (OpenSSH's PROTOCOL.u2f): what is signed is the
// application and the message, hashed, with flags and a counter between them.
type token struct {
	agent.Agent
	pub  ssh.PublicKey
	key  ed25519.PrivateKey
	uses uint32
}

const application = "ssh:"

func newToken(t *testing.T) *token {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	blob := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, key.Public().(ed25519.PublicKey), application})
	pub, err := ssh.ParsePublicKey(blob)
	if err != nil {
		t.Fatal(err)
	}
	return &token{Agent: agent.NewKeyring(), pub: pub, key: key}
}

func (k *token) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: k.pub.Type(), Blob: k.pub.Marshal(), Comment: "token"}}, nil
}

func (k *token) Sign(pub ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	if !bytes.Equal(pub.Marshal(), k.pub.Marshal()) {
		return nil, errors.New("no such key")
	}
	k.uses++
	app, message := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	tail := binary.BigEndian.AppendUint32([]byte{1}, k.uses) // 1: somebody touched it
	text := append(append(app[:], tail...), message[:]...)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(k.key, text), Rest: tail}, nil
}

// TestSecurityKey signs with a key on a token, which only the agent reaches.
func TestSecurityKey(t *testing.T) {
	k := newToken(t)
	dir, err := os.MkdirTemp("", "fido") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			// It ends with the connection.
			_ = agent.ServeAgent(k, c)
			c.Close()
		}
	}()
	line := "ann@example.org namespaces=\"stapkit-bundle\" " + ssh.KeyAlgoSKED25519 + " " + base64.StdEncoding.EncodeToString(k.pub.Marshal()) + "\n"
	pub := filepath.Join(dir, "token.pub")
	if err := os.WriteFile(pub, []byte(strings.SplitN(line, " ", 3)[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	opt := Options{AgentSocket: socket}
	check(t, pub, opt, line)

	// Certified.
	ca := filepath.Join(dir, "ca")
	keygen(t, ca, "ed25519", "")
	tool(t, nil, "ssh-keygen", "-q", "-s", ca, "-I", "ann", "-n", "ann@example.org", "-V", "-1d:+1d", pub)
	check(t, filepath.Join(dir, "token-cert.pub"), opt, "*@example.org cert-authority "+read(t, ca+".pub"))

	// ssh-keygen takes the signature, and one that was changed is none.
	s, err := OpenWith(pub, opt)
	if err != nil {
		t.Fatal(err)
	}
	data, err := bundle.Sign(testBundle(t), s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	armored, err := b.Signatures[0].Armor()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"signers": []byte(line), "m": b.Message, "m.sig": armored} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := tool(t, nil, "sh", "-c", "cd "+dir+" && ssh-keygen -Y verify -n stapkit-bundle -f signers -I ann@example.org -s m.sig <m")
	if !strings.Contains(out, "Good") {
		t.Errorf("ssh-keygen: %s", out)
	}
	signers, err := trust.ParseAllowedSigners("f", []byte(line))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(data, binary.BigEndian.AppendUint32([]byte{1}, k.uses))
	if at < 0 {
		t.Fatal("the counter is not in the bundle")
	}
	data[at+4]++ // its counter
	if v := trust.Verify(data, trust.NewStore("the test", signers, nil), time.Now()); v.Kind != trust.Altered {
		t.Errorf("another counter: %v", v)
	}
}
