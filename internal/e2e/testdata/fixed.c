#include "rows.c"
