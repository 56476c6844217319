// Package golden runs scripts whose output real SystemTap was seen to print and
// compares what stap prints for them. The recorded cases are not part of this
// repository: they are looked for in $STAPKIT_GOLDEN, then in ../shared/golden
// beside it. Scripts of our own in the same form, whose output follows from the
// manual, are in testdata.
package golden
