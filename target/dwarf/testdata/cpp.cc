namespace geo {
class Shape {
public:
	int id;
	static int count;
	virtual int area(int scale) const { return scale; }
	virtual ~Shape() {}
};
int Shape::count = 0;
class Square : public Shape {
	int side;
public:
	explicit Square(int s) : side(s) { id = ++count; }
	int area(int scale) const override;
};
int __attribute__((noinline)) Square::area(int scale) const { return side * side * scale + Shape::area(scale); }
}
int main(int argc, char **) {
	geo::Square s(argc);
	geo::Shape base;
	geo::Shape *volatile p = argc > 1 ? &s : &base;
	return p->area(2);
}
