// Calls the program of rows.c in a shared library.
int rows_main(int, char **);
int main(int argc, char **argv) { return rows_main(argc, argv); }
