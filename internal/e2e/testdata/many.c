// A thousand functions, each called once.
#define F(n) __attribute__((noinline)) void many_##n(void) { __asm__ volatile(""); }
#define TEN(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)
#define TENF(n) TEN(F, n)
#define CALL(n) many_##n();
#define TENCALL(n) TEN(CALL, n)
#define ALL(X) HUNDRED(X, 0) HUNDRED(X, 1) HUNDRED(X, 2) HUNDRED(X, 3) HUNDRED(X, 4) HUNDRED(X, 5) HUNDRED(X, 6) HUNDRED(X, 7) HUNDRED(X, 8) HUNDRED(X, 9)
#define HUNDRED(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)

ALL(TENF)

int main(void)
{
	ALL(TENCALL)
	return 0;
}
