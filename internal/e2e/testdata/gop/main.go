// Command gop calls functions, in goroutines whose stacks grow and so move.
package main

//go:noinline
func work(a, b int) int {
	if a > 2 {
		return a * b
	}
	return a + b
}

//go:noinline
func deep(n int) int {
	var pad [512]byte
	pad[n%512] = byte(n)
	if n == 0 {
		return int(pad[0])
	}
	return deep(n-1) + int(pad[n%512])&1
}

func main() {
	s := 0
	for i := range 5 {
		s += work(i, 3)
	}
	done := make(chan int)
	for range 4 {
		go func() { done <- deep(200) }()
	}
	for range 4 {
		s += <-done
	}
	if s != 33+4*100 {
		panic(s)
	}
}
