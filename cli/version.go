package cli

// Version is stapkit's own version; a release build stamps another.
var Version = "0.1.0"
