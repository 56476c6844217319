// Package e2e holds tests that run the stap command on programs compiled for
// the purpose, and compare what it reports with what the programs are known to
// have done.
package e2e
