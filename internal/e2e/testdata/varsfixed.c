#include "vars.c"
