mod m {
    pub struct P {
        pub a: u32,
        pub b: u64,
    }
    #[inline(never)]
    pub fn sum(p: &P, k: u32) -> u64 {
        std::hint::black_box(p.a as u64 + p.b + k as u64)
    }
}

fn main() {
    let p = m::P { a: 1, b: 2 };
    let mut t = 0;
    for i in 0..6 {
        t += m::sum(std::hint::black_box(&p), i);
    }
    std::hint::black_box(t);
}
