// The program heap with the allocator of libmem.
#include "heap.c"
