// Package golden runs scripts whose output real SystemTap was seen to print and
// compares what stap prints for them. The recorded cases are not part of this
// repository: they are looked for in $STAPKIT_GOLDEN, then in ../shared/golden
// beside it.
package golden
