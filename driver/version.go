package driver

// Release is stapkit's own version.
const Release = "0.1.0"
