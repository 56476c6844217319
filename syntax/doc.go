// Package syntax is the front end of every stapkit tool: tokens, lexer,
// preprocessor, parser and tree of the SystemTap language, version 5.6.
//
// There are two views of one grammar. The source view shows a file as it was
// written, with nodes for preprocessor directives and macro calls; the expanded
// view shows the program that results. Both are made of the node types in nodes.go,
// hold token indices, and can say where the person wrote what they stand for.
//
// Nothing here panics on bad input, and every file gives a tree: what is wrong is in
// File.Diags, and Bad nodes stand for what was not understood.
package syntax
