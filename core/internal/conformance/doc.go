// Package conformance reads the recorded cases of the reference and compares
// what a build does with them. It is the data side only: the tests of the packages
// above it drive their own code through it.
//
// A file is one JSON object a line, named NAME.jsonl or NAME.jsonl.gz in one directory.
// Numbers that must match to the bit are read from their _bits fields.
package conformance
