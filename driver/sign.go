package driver

import (
	"errors"
	"fmt"
	"io"
	"os"

	"stapkit/bundle"
	"stapkit/bundle/signer"
	"stapkit/cli"
)

// sign signs a bundle with a key file, or with the agent's key to it.
func sign(b []byte, key string) ([]byte, error) {
	k, err := signer.Open(key)
	if err != nil {
		return nil, err
	}
	return bundle.Sign(b, k)
}

// stapcSign is stapc sign: it changes who has signed a bundle, and nothing else of it.
func stapcSign(args []string, stdout io.Writer, fail func(error) int) int {
	var keys, attach []string
	var output, message, detached string
	f := cli.StapcSign.Flags()
	f.Strings(&keys, "sign")
	f.String(&output, "output")
	f.Strings(&attach, "attach")
	f.String(&message, "message")
	f.String(&detached, "detached")
	rest, err := f.Parse(args)
	switch {
	case errors.Is(err, cli.ErrHelp):
		fmt.Fprint(stdout, cli.StapcSign.Help())
		return 0
	case err != nil:
		return fail(fmt.Errorf("sign: %w (--help tells the options)", err))
	}
	err = func() error {
		switch {
		case len(rest) != 1:
			return errors.New("give one bundle")
		case len(keys) == 0 && len(attach) == 0 && message == "":
			return errors.New("give --sign KEY, --attach SIGNATURE or --message FILE")
		case detached != "" && len(keys) != 1:
			return errors.New("--detached takes one --sign KEY")
		}
		b, err := os.ReadFile(rest[0])
		if err != nil {
			return err
		}
		b, text, err := bundle.Prepare(b)
		if err != nil {
			return err
		}
		for _, name := range attach {
			sig, err := os.ReadFile(name)
			if err == nil {
				b, err = bundle.Attach(b, sig)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		for _, key := range keys {
			signed, err := sign(b, key)
			if err != nil {
				return err
			}
			if detached == "" {
				b = signed
				continue
			}
			p, err := bundle.Parse(signed)
			if err != nil {
				return err
			}
			armored, err := p.Signatures[len(p.Signatures)-1].Armor()
			if err != nil {
				return err
			}
			if err := writeFile(detached, armored); err != nil {
				return err
			}
		}
		if message != "" {
			if err := writeFile(message, text); err != nil {
				return err
			}
		}
		name := output
		if name == "" {
			name = rest[0]
		}
		return writeFile(name, b)
	}()
	if err != nil {
		return fail(fmt.Errorf("sign: %w", err))
	}
	return 0
}
