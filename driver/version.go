package driver

import "stapkit/cli"

// Release is stapkit's own version.
var Release = cli.Version
