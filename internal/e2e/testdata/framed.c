// The program of known stacks again: it is compiled with frame pointers, without tables.
#include "stack.c"
