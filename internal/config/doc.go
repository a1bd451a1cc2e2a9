// Package config reads the operator's file: one YAML document, strict in every
// respect. An unknown or repeated key, a value of the wrong kind, a size
// without its unit, a mode with another mode's settings are all faults, and
// all faults of a file are found at once, each with its line, the field it is
// about and what to write instead.
//
// The structs are the reference of the file: each field says its default, its
// effect and its danger. A file with nothing but a gate is complete:
//
//	gate: https://gate.example.com
//
// The package never opens what the file names: whether a certificate, a key or
// a folder can be read is found by the part that reads it. Start with [Load].
package config
