package driver

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"stapkit/bundle"
	"stapkit/bundle/signer"
)

const signUsage = `Usage: stapc sign --sign KEY [-o FILE] BUNDLE               Sign a bundle, perhaps once more.
   or: stapc sign --sign KEY --detached FILE BUNDLE         Put the signature into a file of its own.
   or: stapc sign --message FILE BUNDLE                     Write what is to be signed, for ssh-keygen -Y sign.
   or: stapc sign --attach SIGNATURE [-o FILE] BUNDLE       Add a signature that was made elsewhere.

Options:
`

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
	fs := pflag.NewFlagSet("stapc sign", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	keys := fs.StringArray("sign", nil, "sign with `KEY`: a private key file, or a public key or certificate whose key the ssh-agent has; may be repeated")
	output := fs.StringP("output", "o", "", "write the bundle to `FILE` instead of where it was")
	attach := fs.StringArray("attach", nil, "add the signature in `FILE`, as ssh-keygen -Y sign writes it; may be repeated")
	message := fs.String("message", "", "prepare the bundle for signing and write the text to sign to `FILE`")
	detached := fs.String("detached", "", "write the signature to `FILE` and leave it out of the bundle")
	help := fs.BoolP("help", "h", false, "show this help")
	if err := fs.Parse(args); err != nil {
		return fail(fmt.Errorf("sign: %w (--help tells the options)", err))
	}
	if *help {
		fmt.Fprint(stdout, signUsage, fs.FlagUsages())
		return 0
	}
	err := func() error {
		switch {
		case fs.NArg() != 1:
			return errors.New("give one bundle")
		case len(*keys) == 0 && len(*attach) == 0 && *message == "":
			return errors.New("give --sign KEY, --attach SIGNATURE or --message FILE")
		case *detached != "" && len(*keys) != 1:
			return errors.New("--detached takes one --sign KEY")
		}
		b, err := os.ReadFile(fs.Arg(0))
		if err != nil {
			return err
		}
		b, text, err := bundle.Prepare(b)
		if err != nil {
			return err
		}
		for _, name := range *attach {
			sig, err := os.ReadFile(name)
			if err == nil {
				b, err = bundle.Attach(b, sig)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		for _, key := range *keys {
			signed, err := sign(b, key)
			if err != nil {
				return err
			}
			if *detached == "" {
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
			if err := writeFile(*detached, armored); err != nil {
				return err
			}
		}
		if *message != "" {
			if err := writeFile(*message, text); err != nil {
				return err
			}
		}
		name := *output
		if name == "" {
			name = fs.Arg(0)
		}
		return writeFile(name, b)
	}()
	if err != nil {
		return fail(fmt.Errorf("sign: %w", err))
	}
	return 0
}
