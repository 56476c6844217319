#include <string>

namespace geo {
struct Shape {
	int n;
	virtual int area(int k) { return n * k; }
	virtual ~Shape() {}
};
struct Square : Shape {
	int area(int k) override { return n * n * k; }
};
template <class T> __attribute__((noinline)) T add(T a, T b) { return a + b; }
} // namespace geo

__attribute__((noinline)) int use(geo::Shape &s, const std::string &t) { return s.area(2) + t.size(); }

int main()
{
	geo::Square q;
	int r = 0;
	q.n = 3;
	for (int i = 0; i < 4; i++)
		r += use(q, "abc");
	return geo::add<int>(r, 1) == 0;
}
