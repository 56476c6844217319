package trust

import "stapkit/diag"

var (
	codeUnsigned = diag.Register(diag.Info{Code: "R120", Title: "the bundle is not signed",
		Doc: `The file is whole, but nobody has signed it, and this host runs signed bundles only.

Sign it with ` + "`stapc --sign KEY`" + `, or as root, where the policy permits, run it with ` + "`--allow-unsigned`" + `.`})
	codeUntrusted = diag.Register(diag.Info{Code: "R121", Title: "the bundle is signed by a key that is not allowed to",
		Doc: `The signature is good, but no allowed_signers file lists the key for the namespace ` + "`stapkit-bundle`" + `, and no listed certificate authority vouches for it.

If you trust the signer, add a line to a file in ` + "`/etc/stapkit/allowed_signers.d`" + `:

    ann@example.org namespaces="stapkit-bundle" ssh-ed25519 AAAA…`})
	codeExpired = diag.Register(diag.Info{Code: "R122", Title: "the signer's time is over, or has not begun",
		Doc: `The key is listed, but the clock is outside of ` + "`valid-after`" + ` and ` + "`valid-before`" + `, or of the certificate's validity.

Check the host's clock, then sign the bundle with a current key.`})
	codeRevoked = diag.Register(diag.Info{Code: "R123", Title: "the key or the bundle is revoked",
		Doc: `A revocation list under ` + "`/etc/stapkit`" + ` or ` + "`/usr/lib/stapkit`" + ` names the key, its certificate authority, or this very bundle. The message says which line.`})
	codeAltered = diag.Register(diag.Info{Code: "R124", Title: "the bundle is altered or damaged",
		Doc: `The file is not as it was written: it was cut short, changed after it was signed, or it is no bundle at all. Fetch it again from where it was built, and compare the output of ` + "`sha256sum`" + `.`})
	codeWrongKernel = diag.Register(diag.Info{Code: "R125", Title: "the bundle is not for this kernel",
		Doc: `A required probe or feature is missing on this host. The message lists what is missing; compile the script for a target that includes this host.`})
	codeRefused = diag.Register(diag.Info{Code: "R126", Title: "the policy of this host refuses the bundle",
		Doc: `The bundle is genuine, but it does something that the policy file does not allow, or the files that say whom to trust are not safe (wrong owner, or writable by others).`})
	codeUnsupported = diag.Register(diag.Info{Code: "R127", Title: "the bundle needs a newer stapkit",
		Doc: `The file is whole, but in a later version of the format. Install a newer stapkit on this host, or compile the script with the version that the host has.`})
)
