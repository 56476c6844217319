package query

import "slices"

//go:generate go run stapkit/internal/gen/textmate

// A Vocabulary is the words of the language by what they are, for the grammars with
// which editors colour scripts. Lists are sorted.
type Vocabulary struct {
	Keywords   []string
	Operators  []string // @ operators, without the "@"
	Statistics []string // what is extracted from aggregates, without the "@"
	Prints     []string
	Conditions []string // names of preprocessor conditions
	// Conversions are the letters that end a directive of printf.
	Conversions string
}

// Words gives the vocabulary.
func Words() Vocabulary {
	v := Vocabulary{
		Keywords: sortedNames(keywordDoc), Operators: sortedNames(atDoc), Statistics: sortedNames(statDoc),
		Prints: sortedNames(printDoc), Conditions: sortedNames(conditionDoc),
	}
	letters := []byte{'i'} // read as d
	for c := range convDoc {
		letters = append(letters, c.Letter())
	}
	slices.Sort(letters)
	v.Conversions = string(letters)
	return v
}
